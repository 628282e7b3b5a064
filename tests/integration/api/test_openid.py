"""Sign-in and bearer tokens with a real OpenID provider, oidc-provider of npm; see tests/openid."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import pytest
from joserfc.jwk import RSAKey
from starlette.testclient import TestClient

from devstack.ports import free_port
from tests.support.api.pages import OWN
from tests.support.api.stub import stub
from tests.support.places import TESTS
from tests.support.waiting import PATIENCE, wait_until

FOLDER = TESTS / "openid"


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("no Node.js is installed; the OpenID provider of this test needs it")
    if not (FOLDER / "node_modules").exists():
        pytest.skip("the OpenID provider is not installed: `npm ci --prefix tests/openid`, as .ci/run does")
    return found


@contextmanager
def provider(node: str, port: int, folder: Path) -> Iterator[None]:
    """A running provider, with a key of its own."""
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"})
    key.ensure_kid()
    file = folder / "key.json"
    file.write_text(json.dumps(key.as_dict(private=True)))
    log = (folder / "provider.log").open("ab")
    words = [node, FOLDER / "provider.js", str(port), file, "http://testserver"]
    child = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port) or child.poll() is not None, "the provider answers")
        assert child.poll() is None, (folder / "provider.log").read_text()
        yield
    finally:
        child.kill()
        child.wait()
        log.close()


def answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/jwks", trust_env=False, timeout=PATIENCE).is_success
    except httpx2.TransportError:
        return False


def token(port: int, audience: str = "urn:sluice") -> str:
    form = {"grant_type": "client_credentials", "resource": audience}
    answer = httpx2.post(
        f"http://127.0.0.1:{port}/token",
        data=form,
        auth=("loader", "of-the-tests"),
        trust_env=False,
        timeout=PATIENCE,
    )
    return str(answer.json()["access_token"])


def sign_in_there(address: str, user: str) -> str:
    """What a person does at the provider's page; the address to which it sends the browser back."""
    with httpx2.Client(follow_redirects=False, trust_env=False, timeout=PATIENCE) as browser:
        answer = browser.get(address)
        for _ in range(12):
            if answer.is_redirect:
                address = urljoin(address, answer.headers["location"])
                if urlsplit(address).hostname == "testserver":
                    return address
                answer = browser.get(address)
                continue
            form = re.search(r'<form[^>]+action="([^"]+)"', answer.text)
            assert form is not None, answer.text
            prompt = re.search(r'name="prompt" value="([^"]+)"', answer.text)
            address = urljoin(address, unescape(form[1]))
            fields = {"prompt": prompt[1] if prompt else "", "login": user, "password": "x"}
            answer = browser.post(address, data=fields)
    raise AssertionError("the provider did not send the browser back")


def test_people_sign_in_and_services_send_tokens(node: str, tmp_path: Path) -> None:
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    settings: dict[str, Any] = {"oidc_issuer": issuer, "oidc_audience": "urn:sluice", "oidc_client_id": "page"}
    app, log = stub(tmp_path, api_require_key=True, **settings)
    with TestClient(app, follow_redirects=False, raise_server_exceptions=False) as client:
        bearer = {"Authorization": "Bearer ey.ey.ey"}
        assert client.get("/v1/jobs", headers=bearer).status_code == 503, "the provider does not answer yet"
        with provider(node, port, tmp_path):
            client.app.state.services.authenticator.provider._keys._asked_at = -3600  # type: ignore[attr-defined]
            first = token(port)
            who = client.get("/v1/principal", headers={"Authorization": f"Bearer {first}"}).json()
            assert (who["name"], who["role"], who["organisations"]) == ("loader", "viewer", ["acme"])
            other = client.get("/v1/principal", headers={"Authorization": f"Bearer {token(port, 'urn:other')}"})
            assert other.status_code == 401

            # The page: to the provider and back, with PKCE.
            assert "Sign in with 127.0.0.1" in client.get("/sign-in?next=/jobs/abc").text
            there = client.get("/sign-in/provider?next=/jobs/abc").headers["location"]
            asked = parse_qs(urlsplit(there).query)
            assert (asked["code_challenge_method"], asked["response_type"]) == (["S256"], ["code"])
            cookie = client.cookies["sluice_signing_in"]
            assert cookie.split(".")[1] not in there, "the verifier stays in this browser"
            back = sign_in_there(there, "ada")
            home = client.get(back)
            assert (home.status_code, "ada" in home.text, 'url=/jobs/abc"' in home.text) == (200, True, True)
            page = client.get("/").text
            assert "ada, operator of acme" in page
            assert "sluice_signing_in" not in client.cookies
            session = client.cookies["sluice_session"]
            assert client.post("/sign-out", headers=OWN).status_code == 303
            client.cookies.set("sluice_session", session)
            assert client.get("/").status_code == 303, "signing out ends it"
            client.cookies.clear()

            # A code is of use once, and only in the browser that began.
            client.cookies.set("sluice_signing_in", cookie)
            assert client.get(back).status_code == 401
            client.cookies.clear()
            assert client.get(back).status_code == 400
            there = client.get("/sign-in/provider").headers["location"]
            answer = client.get(sign_in_there(there, "stranger"))
            assert (answer.status_code, "no organisation" in answer.text) == (401, True)
            assert "sluice_session" not in client.cookies

        # The provider has a new key.
        with provider(node, port, tmp_path):
            client.app.state.services.authenticator.provider._keys._asked_at = -3600  # type: ignore[attr-defined]
            second = token(port)
            assert client.get("/v1/jobs", headers={"Authorization": f"Bearer {second}"}).status_code == 200
            assert client.get("/v1/jobs", headers={"Authorization": f"Bearer {first}"}).status_code == 401
    kept = b"".join(log.principals.records)
    for secret in (first, second, session, cookie.split(".")[1]):
        assert secret.encode() not in kept
