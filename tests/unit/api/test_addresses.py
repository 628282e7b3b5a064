"""Which addresses jobs may read, and what is asked of their hosts."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from urllib.parse import unquote

import httpx2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from api.errors import ApiError
from api.outgoing.lookups import Lookups
from api.remote.addresses import allowed_address, file_name, job_address
from api.remote.web import read_web
from control.webhooks.rules import receiver_address
from runtime.network.addresses import AddressError
from runtime.network.internet import is_public
from runtime.settings import Settings
from tests.support.stubs.wire import Wire

PREFIXES = ("s3://in/{organisation}", "https://Files.example.org/out/", "https://other.example.org:8443")
BEGINNING = "https://files.example.org/acme"
NETWORK = "93.184.216.34"
LOOKUPS = Lookups(lambda host, port: [NETWORK])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://in/acme/a%2Fb.csv", "s3://in/acme/a%2Fb.csv"),
        ("s3://in/acme/Zoë/ü.csv", "s3://in/acme/Zoë/ü.csv"),
        ("s3://in/acme", "s3://in/acme"),
        ("https://FILES.example.org/out/people.csv?sig=x", "https://files.example.org/out/people.csv"),
        ("HTTPS://files.example.org:443/out/people.csv", "https://files.example.org/out/people.csv"),
        ("https://other.example.org:8443/any", "https://other.example.org:8443/any"),
    ],
)
def test_allowed(text: str, shown: str) -> None:
    assert allowed_address(text, PREFIXES, "acme").shown == shown


@pytest.mark.parametrize(
    "text",
    [
        "s3://in/acme2/a.csv",
        "s3://in/else/a.csv",
        "https://files.example.org/outside.csv",
        "https://files.example.org:444/out/a.csv",
        "https://files.example.org:65535/out/a.csv",
        "https://files.example.org.evil.org/out/a.csv",
        "https://xn--fils-dpa.example.org/out/a.csv",
        "https://other.example.org/any",
    ],
)
def test_outside(text: str) -> None:
    with pytest.raises(ApiError, match="may read") as refused:
        allowed_address(text, PREFIXES, "acme")
    assert refused.value.code == 403


@pytest.mark.parametrize(
    "text",
    [
        "http://files.example.org/out/a.csv",
        "file:///etc/passwd",
        "people.csv",
        "https://user:pw@files.example.org/out/a.csv",
        "https://@files.example.org/out/a.csv",
        "https://files.example.org/out/a.csv#",
        "https://files.example.org/out/../a.csv",
        "https://files.example.org/out/%2e%2e/a.csv",
        "https://files.example.org/out/..%5Ca.csv",
        "https://files.example.org/out/..;x=1/a.csv",
        "https://files.example.org/out/a b.csv",
        "https://files.example.org/out/a\tb.csv",
        "https://files.example.org/out/é.csv",
        "https://filés.example.org/out/a.csv",
        "https://files.example.org\\@evil.org/out/a.csv",
        "https://files.example.org/out/\\a.csv",
        "https://files.example.org:99999/out/a.csv",
        "https://files.example.org:0/out/a.csv",
        "https://files%2eexample.org/out/a.csv",
        "https://[::1/out/a.csv",
        "https://[::1]x/out/a.csv",
        "https://[files.example.org]/out/a.csv",
        "s3://in",
        "s3://in/acme/",
        "s3://in:80/acme/a.csv",
        "s3://in/acme/a.csv?versionId=1",
        "s3://in/acme//a.csv",
        "s3://in/acme/../a.csv",
        "s3://in/acme/a\u2028b.csv",
    ],
)
def test_no_address(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        allowed_address(text, PREFIXES, "acme")
    assert refused.value.code == 400


def test_a_refusal_says_how_other_letters_are_written_and_shows_no_secret() -> None:
    with pytest.raises(ApiError, match="percent-encode"):
        allowed_address("https://files.example.org/out/é.csv", PREFIXES, "acme")
    for text in ("https://h:t0ken/", "https://u:t0ken@h/", "https://h/t0ken é", "https://[t0ken/", "ftp://h/t0ken"):
        with pytest.raises(ApiError) as refused:
            job_address(text)
        assert "t0ken" not in refused.value.message
        with pytest.raises(AddressError) as not_sent:
            receiver_address(text, allow_private=True)
        assert "t0ken" not in str(not_sent.value)


def test_a_name_is_the_end_of_the_path() -> None:
    named = [file_name(job_address(text)) for text in ("https://h.org/a/people%20of%20may.csv", "https://h.org")]
    assert named == ["people of may.csv", "upload.csv"]


# -- what is checked is what is asked for -----------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        "/", "//", ".", "..", "a", "acme", "globex", "people.csv", "%2e", "%2E%2e", "%252e", "%2f", "%5c", "%é2e", "\\",
        "\t", "\n", " ", "\x00", "é", ".é.", "．", "／", "\u200d", "?", "#", "@", ":", ";", "&", "=", "+", "%", "%zz",
        "|", '"', "<", ">", "^", "`", "{", "}", "[", "]", "~", "'",
    ]
)  # fmt: skip
ODD_PATHS = st.lists(PIECES, max_size=8).map("".join)
AUTHORITIES = st.sampled_from(
    [
        "https://files.example.org", "HTTPS://FILES.example.org:443", "https://files.example.org:", "https://u@h.org",
        "https://files.example.org:0443", "https://files.example.org:65535", "https://files.example.org:443443",
        "https://files.example.org.", "https://filés.example.org", "https://xn--fils-dpa.example.org", " https://x.org",
    ]
)  # fmt: skip


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The network below `read_web`."""
    found = Wire()

    async def send(_: object, request: httpx2.Request) -> httpx2.Response:
        return await found.handle(request)

    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", send)
    return found


def asked_for(text: str, wire: Wire) -> bytes | None:
    """What is asked for, if a job of acme names this; None: it may not."""
    read = Settings(source_urls="https://files.example.org/{organisation}")
    try:
        address = allowed_address(text, read.source_prefixes, "acme")
    except ApiError as error:
        assert error.code in (400, 403)
        return None

    async def read_it() -> None:
        async for _ in read_web(address, read, "acme", LOOKUPS):
            pass

    with pytest.raises(ApiError, match="answers 204"):
        asyncio.run(read_it())
    assert wire.host == wire.names[-1] == "files.example.org"
    assert wire.hosts[-1] == (NETWORK, 443)
    return wire.target


def as_servers_read(target: bytes) -> str:
    """The path that the least careful of servers makes of what it is asked for."""
    path = unquote(target.partition(b"?")[0].decode()).replace("\\", "/")
    return posixpath.normpath("/".join(segment.partition(";")[0] for segment in path.split("/")))


@given(ODD_PATHS)
@example("/../globex/people.csv")
@example("/.é./globex/people.csv")
@example("/%é2e%é2e/globex/people.csv")
@example("/%2e%2e/globex/people.csv")
@example("/..\\globex/people.csv")
@example("/..;/globex/people.csv")
@example("/.\t./globex/people.csv")
@example("/a|b{c}^`\"<>'?d=[e]|~/../x")
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_path_that_is_allowed_is_asked_for_as_it_stands_and_leads_nowhere_else(wire: Wire, path: str) -> None:
    target = asked_for(BEGINNING + path, wire)
    if target is None:
        return
    asked, _, query = path.partition("?")
    assert target == (f"/acme{asked}?{query}" if query else f"/acme{asked}").encode("ascii")
    assert (as_servers_read(target) + "/").startswith("/acme/")


@given(AUTHORITIES, st.lists(st.sampled_from(["/acme", "/globex", "/a.csv", "/..", "@", "?"]), max_size=3))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_an_authority_that_is_allowed_is_the_one_that_is_asked(wire: Wire, authority: str, path: list[str]) -> None:
    target = asked_for(authority + "".join(path), wire)
    assert target is None or as_servers_read(target).startswith("/acme")


@pytest.mark.parametrize(
    "location",
    ["/globex/a.csv", "/acme/%2e%2e/globex/a.csv", "/acme/.\t./globex/a.csv", "/acme/\xe9", "//globex.org/acme/a.csv",
     "../globex/a.csv", "http://files.example.org/acme/a.csv", "https://u@files.example.org/acme/a.csv"],
)  # fmt: skip
def test_a_redirect_leads_nowhere_else(wire: Wire, location: str) -> None:
    wire.answer = b"HTTP/1.1 302 Found\r\nLocation: " + location.encode("latin-1") + b"\r\nContent-Length: 0\r\n\r\n"
    read = Settings(source_urls="https://files.example.org/{organisation}")
    address = allowed_address(f"{BEGINNING}/a.csv", read.source_prefixes, "acme")

    async def read_it() -> None:
        async for _ in read_web(address, read, "acme", LOOKUPS):
            pass

    with pytest.raises(ApiError) as refused:
        asyncio.run(read_it())
    assert refused.value.code in (400, 403)
    assert len(wire.sent) == 1


@given(ODD_PATHS)
@example("/Zoë/people.csv")
@example("/a/")
@settings(max_examples=200, deadline=None)
def test_a_key_that_is_allowed_is_asked_for_as_it_stands(path: str) -> None:
    """obstore drops a slash at the end, and refuses segments of dots and without a name."""
    try:
        address = allowed_address(f"s3://in/acme{path}", ("s3://in/{organisation}",), "acme")
    except ApiError:
        return
    store = MemoryStore()
    store.put(address.key, b"")
    assert [item["path"] for page in store.list() for item in page] == [f"acme{path}"]


# -- network addresses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1::1946", True), ("64:ff9b::5db8:d822", True),
        ("::ffff:93.184.216.34", True), ("2002:5db8:d822::1", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False),
        ("::", False), ("fe80::1", False), ("fd00::1", False), ("fec0::1", False), ("ff0e::1", False),
        ("100::1", False), ("2001:db8::1", False), ("3fff::1", False), ("5f00::1", False), ("4000::1", False),
        ("2001:0:5db8:d822::1", False),
    ],
)  # fmt: skip
def test_public_network_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


FORMS = {
    "mapped": lambda bits: (0xFFFF << 32) | bits,
    "compatible": lambda bits: bits,
    "translated": lambda bits: (0xFFFF << 48) | bits,
    "of a gateway": lambda bits: (0x64FF9B << 96) | bits,
    "of a gateway of one's own": lambda bits: (0x64FF9B0001 << 80) | bits,
    "6to4": lambda bits: (0x2002 << 112) | (bits << 80) | 1,
    "Teredo's server": lambda bits: (0x20010000 << 96) | (bits << 64),
    "Teredo's client": lambda bits: (0x20010000 << 96) | (0x5DB8D822 << 64) | (bits ^ 0xFFFFFFFF),
}
"""Ways in which an IPv6 address holds one of IPv4."""


@pytest.mark.parametrize("form", FORMS)
@given(st.ip_addresses(v=4))
@example(IPv4Address("10.0.0.1"))
@example(IPv4Address("127.0.0.1"))
@example(IPv4Address("169.254.169.254"))
def test_a_private_address_in_another_is_private(form: str, inner: IPv4Address) -> None:
    if not is_public(str(inner)):
        assert not is_public(str(IPv6Address(FORMS[form](int(inner)))))


@given(st.ip_addresses(v=6))
def test_outside_of_what_is_given_out_nothing_is_public(address: IPv6Address) -> None:
    stands_for_ipv4 = address in IPv6Network("::ffff:0:0/96") or address in IPv6Network("64:ff9b::/96")
    assert not is_public(str(address)) or stands_for_ipv4 or address in IPv6Network("2000::/3")
