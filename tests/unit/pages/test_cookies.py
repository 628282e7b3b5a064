"""Cookies that a page of another host of the same domain has planted: under the plain name they may come first."""

from __future__ import annotations

from itertools import chain, permutations
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.pages.access.session import COOKIE, SECURE_COOKIE, values_of
from tests.support.api.pages import OWN, text_of
from tests.support.api.stub import stub

HTTPS = "https://testserver"
PLANTED = [[], ["{plain}={evil}"], ["{plain}={evil}"] * 30, ["{plain}="], ["other=1", "{plain}={evil}", "{plain}=x"]]
FILLED = [f"pad{number}={'x' * 4000}" for number in range(6)]
"""More than half of what a request's head may have."""


def arrangements(own: str, plain: str, evil: str) -> list[str]:
    """Cookie headers that have the browser's own cookie, and planted ones in each place."""
    found = []
    for planted in PLANTED:
        pairs = [pair.format(plain=plain, evil=evil) for pair in planted]
        for parts in permutations([[own], pairs, FILLED]):
            header = "; ".join(chain.from_iterable(parts))
            found += [header, header.replace("; ", ";")]
    return found


@pytest.mark.parametrize("name", [COOKIE, "sluice_signing_in"])
def test_where_there_is_a_value_of_this_host_alone_it_is_the_only_one(name: str) -> None:
    for header in arrangements(f"__Host-{name}=good", name, "evil"):
        assert values_of(header, name) == ["good"], header[:80]
    for other in (f"x__Host-{name}=evil", f"__host-{name}=evil", f"__Host-{name}x=evil", f"a=__Host-{name}=evil"):
        assert values_of(f"{other}; {name}=old", name) == ["old"], other
    assert values_of("", name) == []


def test_a_planted_session_is_not_the_one_of_the_page(tmp_path: Path) -> None:
    app, log = stub(tmp_path, api_require_key=True)
    with TestClient(app, base_url=HTTPS, follow_redirects=False) as client:

        def signed_in(name: str) -> str:
            client.cookies.clear()
            client.post("/sign-in", data={"key": log.principals.key("viewer", "acme", name=name)}, headers=OWN)
            value = client.cookies[SECURE_COOKIE]
            client.cookies.clear()
            return value

        own, evil = signed_in("victim"), signed_in("mallory")
        for header in arrangements(f"{SECURE_COOKIE}={own}", COOKIE, evil):
            page = client.get("/", headers={"Cookie": header})
            assert (page.status_code, "victim, viewer of acme" in text_of(page.text)) == (200, True), header[:80]
        client.post("/sign-out", headers={**OWN, "Cookie": f"{COOKIE}={evil}; {SECURE_COOKIE}={own}"})
        assert client.get("/", headers={"Cookie": f"{SECURE_COOKIE}={own}"}).status_code == 303
        assert client.get("/", headers={"Cookie": f"{COOKIE}={evil}; {SECURE_COOKIE}={own}"}).status_code == 303


def test_a_planted_sign_in_at_the_provider_is_not_the_one_that_was_begun(tmp_path: Path) -> None:
    app, _ = stub(tmp_path, api_require_key=True, oidc_issuer="http://127.0.0.1:9/issuer", oidc_client_id="sluice")
    name = "sluice_signing_in"
    with TestClient(app, base_url=HTTPS) as client:
        for header in arrangements(f"__Host-{name}=own.b.c.%2F", name, "evil.b.c.%2F")[:5]:
            for state, code in (("evil", 400), ("own", 401)):
                answer = client.get(f"/sign-in/callback?state={state}", headers={"Cookie": header})
                assert answer.status_code == code, "with its own state it goes on, and lacks a code"


def test_signing_in_removes_a_cookie_of_https_that_would_hide_the_new_one(tmp_path: Path) -> None:
    """Browsers send those to http://localhost too."""
    app, _ = stub(tmp_path, api_require_key=True)
    with TestClient(app, follow_redirects=False) as client:
        old = {"Cookie": f"{SECURE_COOKIE}=over"}
        answer = client.post("/sign-in", data={"key": "secret"}, headers={**OWN, **old})
        made, removed = answer.headers.get_list("set-cookie")
        assert made.startswith(f"{COOKIE}=") and removed.startswith(f'{SECURE_COOKIE}="";')
        assert "Max-Age=0" in removed and "Secure" in removed and "Path=/" in removed
        assert client.get("/", headers={"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}).status_code == 200
