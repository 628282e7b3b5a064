"""Which addresses jobs may read."""

from __future__ import annotations

import pytest

from api.errors import ApiError
from api.remote.addresses import allowed_address, parsed
from runtime.network import is_public

PREFIXES = ("s3://in/{organisation}", "https://Files.example.org/out/", "https://other.example.org:8443")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://in/acme/a%2Fb.csv", "s3://in/acme/a%2Fb.csv"),
        ("s3://in/acme", "s3://in/acme"),
        ("https://FILES.example.org/out/people.csv?sig=x", "https://files.example.org/out/people.csv"),
        ("https://other.example.org:8443/any", "https://other.example.org:8443/any"),
    ],
)
def test_allowed(text: str, shown: str) -> None:
    assert allowed_address(text, PREFIXES, "acme").shown == shown


@pytest.mark.parametrize(
    "text",
    [
        "s3://in/acme2/a.csv",
        "s3://in",
        "s3://in/else/a.csv",
        "https://files.example.org/outside.csv",
        "https://files.example.org:444/out/a.csv",
        "https://files.example.org.evil.org/out/a.csv",
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
        "https://files.example.org/out/../a.csv",
        "https://files.example.org/out/%2e%2e/a.csv",
        "https://files.example.org/out/a b.csv",
        "https://files.example.org\\@evil.org/out/a.csv",
        "https://files.example.org:99999/out/a.csv",
        "https://[::1/out/a.csv",
        "s3://in:80/acme/a.csv",
        "s3://in/acme/a.csv?versionId=1",
        "s3://in/acme//a.csv",
    ],
)
def test_no_address(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        allowed_address(text, PREFIXES, "acme")
    assert refused.value.code == 400


def test_a_name_is_the_end_of_the_path() -> None:
    assert (parsed("https://h.org/a/people%20of%20may.csv").name, parsed("https://h.org").name) == (
        "people of may.csv",
        "upload.csv",
    )


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1::1946", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False),
        ("fe80::1", False), ("fd00::1", False), ("::ffff:127.0.0.1", False), ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
    ],
)  # fmt: skip
def test_public_network_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public
