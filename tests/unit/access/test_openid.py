"""Bearer tokens of an OpenID provider, signed by a key of the test's own: which are taken, and who they say it is."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from pydantic import ValidationError
from starlette.testclient import TestClient

from api.errors import ApiError
from api.principals.attempts import FREE
from api.principals.caller import caller_by_session
from api.principals.oidc.claims import ClaimsError, caller_in
from api.principals.oidc.provider import Provider
from control.principals.registry import Registry
from runtime.clock import Clock
from runtime.settings import Settings, role_names
from schemas.policies.principals import Role
from tests.support.api.stub import make_job, stub

ISSUER = "http://127.0.0.1:9/issuer"
KEY, OTHER = (RSAKey.generate_key(2048, {"kid": kid, "use": "sig"}) for kid in ("one", "two"))
RIGHTS = {"sub": "ada", "organisations": ["acme"], "role": "operator"}


def key_set(*keys: RSAKey) -> str:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]})


def token(key: Any = KEY, alg: str = "RS256", kid: str | None = "one", **claims: Any) -> str:
    whole = {"iss": ISSUER, "aud": "urn:sluice", "exp": int(time.time()) + 600, **RIGHTS, **claims}
    header = {"alg": alg, **({"kid": kid} if kid else {})}
    return jwt.encode(header, {name: value for name, value in whole.items() if value is not None}, key, [alg])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[TestClient, Path]]:
    file = tmp_path / "keys.json"
    file.write_text(key_set(KEY))
    settings = {"oidc_issuer": ISSUER, "oidc_audience": "urn:sluice", "oidc_jwks": str(file)}
    app, _ = stub(tmp_path, api_require_key=True, **settings)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, file


def code(client: TestClient, given: str) -> int:
    return client.get("/v1/jobs", headers={"Authorization": f"Bearer {given}"}).status_code


def test_a_token_is_who_its_claims_say(served: tuple[TestClient, Path]) -> None:
    client, _ = served
    client.headers["Authorization"] = f"Bearer {token()}"
    who = client.get("/v1/principal").json()
    assert (who["name"], who["role"], who["organisations"], who["key_id"]) == ("ada", "operator", ["acme"], None)
    assert who["expires_at"]
    job = make_job(client).json()
    assert (job["created_by"], job["organisation"]) == ("ada", "acme")
    assert client.get("/v1/keys").status_code == 403
    client.headers["Authorization"] = f"Bearer {token(organisations=['globex'], sub='bob')}"
    assert client.get(f"/v1/jobs/{job['id']}").status_code == 404


SECRET = OctKey.import_key(b"x" * 64)


@pytest.mark.parametrize(
    "made",
    [
        lambda: token(iss="http://127.0.0.1:9/other"),
        lambda: token(iss=None),
        lambda: token(aud="urn:other"),
        lambda: token(aud=None),
        lambda: token(exp=int(time.time()) - 60),
        lambda: token(exp=None),
        lambda: token(nbf=int(time.time()) + 600),
        lambda: token(alg="RS512"),
        lambda: token(alg="PS256"),
        lambda: token(OTHER),
        lambda: token(OTHER, kid="two"),
        lambda: token(SECRET, alg="HS256"),
        lambda: ".".join((*token().split(".")[:2], "")),
        lambda: ".".join((token(role="admin").split(".")[0], token(role="admin").split(".")[1], token().split(".")[2])),
        lambda: "eyJhbGciOiJub25lIn0." + token().split(".")[1] + ".",
        lambda: "ey.ey.ey",
        lambda: token(role="owner"),
        lambda: token(role=None),
        lambda: token(organisations=[]),
        lambda: token(organisations="a b"),
        lambda: token(sub="Admin"),
        lambda: token(sub=None),
        lambda: token(sub="a\nb"),
        lambda: token(sub="a" * 65),
    ],
)
def test_a_token_that_is_not_all_right_is_refused(served: tuple[TestClient, Path], made: Any) -> None:
    client, _ = served
    assert code(client, made()) == 401


def test_tokens_of_strangers_slow_nobody_at_another_address(served: tuple[TestClient, Path]) -> None:
    client, _ = served
    stranger = TestClient(client.app, client=("203.0.113.9", 5))
    others = (token(OTHER), token(OTHER, kid="two"), token(iss="x"), "ey.ey.ey", "ey.1." + "x" * 500)
    codes = [code(stranger, others[number % len(others)]) for number in range(FREE + 5)]
    assert codes == [401] * FREE + [429] * 5, "of its address"
    for number, refused in enumerate((token(exp=int(time.time()) - 100), token(aud="x"), *others)):
        ada = TestClient(client.app, client=(f"198.51.100.{number}", 5))
        assert code(ada, refused) == 401
        assert code(ada, token()) == 200
    assert code(client, "wrong") == 401


@pytest.mark.parametrize("exp", [1_790_000_000, 1_790_000_000.25, 1_790_000_000.999])
def test_a_caller_holds_as_long_as_its_token_is_taken(tmp_path: Path, exp: float) -> None:
    """What it may begin it may also end, within the leeway for other clocks too."""
    file = tmp_path / "keys.json"
    file.write_text(key_set(KEY))
    settings = Settings(oidc_issuer=ISSUER, oidc_audience="urn:sluice", oidc_jwks=str(file))
    now = [0]
    provider = Provider(settings, Clock(now_ms=lambda: now[0]))
    given = token(exp=exp)

    async def ask() -> dict[int, tuple[bool, int | None]]:
        found = {}
        for now[0] in range(1_789_999_999_000, 1_790_000_034_000, 250):
            try:
                asking = await provider.caller_of(given)
                found[now[0]] = asking.holds(Registry(), now[0]), asking.ends_at
            except ApiError as error:
                assert error.code == 401
                found[now[0]] = False, None
        await provider.close()
        return found

    found = asyncio.run(ask())
    taken = [at for at, (_, ends_at) in found.items() if ends_at is not None]
    assert taken == [at for at, (holds, _) in found.items() if holds]
    assert max(taken) >= (exp + 29) * 1000
    assert {ends_at for _, ends_at in found.values()} == {None, max(taken) + 250}


def test_a_token_in_the_form_for_keys_makes_a_session_that_the_provider_vouches_for(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(key_set(KEY))
    settings = {"oidc_issuer": ISSUER, "oidc_audience": "urn:sluice", "oidc_jwks": str(file)}
    app, log = stub(tmp_path, api_require_key=True, **settings)
    with TestClient(app) as client:
        client.post("/sign-in", data={"key": token()}, headers={"Sec-Fetch-Site": "same-origin"})
        (session,) = log.principals.feed.registry.sessions.values()
        assert (session.vouched, session.issuer, session.proof) == ("provider", ISSUER, None)
        assert caller_by_session(session).identity == caller_in(RIGHTS, Settings(), 5).identity


def test_a_token_that_has_just_expired_may_change_something_too(served: tuple[TestClient, Path]) -> None:
    client, _ = served
    client.headers["Authorization"] = f"Bearer {token(exp=int(time.time()) - 5)}"
    assert make_job(client).status_code == 201


def test_the_keys_rotate_and_one_that_is_withdrawn_ends(served: tuple[TestClient, Path]) -> None:
    client, file = served
    provider = client.app.state.services.authenticator.provider  # type: ignore[attr-defined]
    now = [10_000.0]
    provider._keys._clock = Clock(monotonic=lambda: now[0])
    assert code(client, token()) == 200
    file.write_text(key_set(OTHER))
    assert code(client, token(OTHER, kid="two")) == 401, "it was asked a moment ago"
    now[0] += 11
    assert code(client, token(OTHER, kid="two")) == 200
    assert code(client, token()) == 401
    file.unlink()
    now[0] += 1000
    assert code(client, token(OTHER, kid="two")) == 200, "the keys outlast a provider that does not answer"
    now[0] += 4000
    assert code(client, token(OTHER, kid="two")) == 503


def test_without_an_audience_no_token_is_taken(tmp_path: Path) -> None:
    app, _ = stub(tmp_path, api_require_key=True, oidc_issuer=ISSUER)
    with TestClient(app) as client:
        answer = client.get("/v1/jobs", headers={"Authorization": f"Bearer {token()}"})
        assert (answer.status_code, "SLUICE_OIDC_AUDIENCE" in answer.text) == (401, True)
        assert client.get("/v1/jobs", headers={"X-API-Key": "secret"}).status_code == 200
        assert client.get("/sign-in/provider").status_code == 404


def test_claims_are_mapped_as_the_settings_say() -> None:
    settings = Settings(
        oidc_name_claim="email",
        oidc_organisations_claim="groups",
        oidc_all_organisations="everyone",
        oidc_role_claim="realm_access.roles",
        oidc_roles="sluice-boss=admin, sluice-ops=operator,looks=viewer",
    )
    claims = {"email": "ada@example.org", "groups": "acme", "realm_access": {"roles": ["x", "looks", "sluice-ops"]}}
    found = caller_in(claims, settings, 5)
    assert (found.name, found.role, found.organisations) == ("ada@example.org", Role.OPERATOR, frozenset({"acme"}))
    assert caller_in({**claims, "groups": ["everyone"]}, settings, 5).organisations is None
    for wrong in ({"realm_access": []}, {"realm_access": {"roles": ["operator"]}}, {"groups": {"acme": 1}}):
        with pytest.raises(ClaimsError):
            caller_in({**claims, **wrong}, settings, 5)
    with pytest.raises(ValueError, match="value=viewer"):
        role_names("sluice-boss=owner")
    with pytest.raises(ValidationError):
        Settings(oidc_roles="boss")
