"""Keys over the stub: who may do what with one, how it ends, and what becomes of wrong ones."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace as replace_caller
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api.principals.attempts import FREE, Attempts, Budget, network
from api.principals.caller import Caller
from api.principals.sessions import begin_session, caller_of_session
from api.principals.store import PrincipalStore
from api.readmodel.table_feed import RecordSeen
from commandline import connection
from commandline.cli import app as cli
from control.principals.keys import digest, new_key
from control.principals.registry import Registry, end_of, read_principal
from control.principals.rules import RESERVED, WantedKey, key_problem
from runtime.clock import now_ms
from schemas.messages.codec import UndecodableError, encode
from schemas.messages.webhooks import Webhook
from schemas.policies.principals import ApiKey, KeyUse, Role, Vouched
from schemas.policies.quotas import QuotaBook
from schemas.topics import DAY_MS
from tests.support.api.pages import OWN, Served, text_of
from tests.support.api.stub import StubPrincipals, make_job, rest, stub
from tests.support.waiting import wait_until


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path, api_require_key=True)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, log


ADMIN = {"X-API-Key": "secret"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def make(client: TestClient, **body: Any) -> Any:
    wanted = {"name": "ada", "organisation": "acme", "role": "operator", **body}
    return client.post("/v1/keys", json=wanted, headers=ADMIN)


# -- a key from its making to its end ---------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_kept_as_a_hash(locked: Served) -> None:
    client, log = locked
    made = make(client).json()
    assert re.fullmatch(r"sluice_[0-9a-z]{10}_[0-9a-f]{64}", made["key"])
    assert (made["name"], made["role"], made["organisations"], made["usable"]) == ("ada", "operator", ["acme"], True)
    listed = client.get("/v1/keys", headers=ADMIN)
    assert [key["id"] for key in listed.json()["keys"]] == [made["id"]]
    for kept in (listed.content, *log.principals.records):
        assert made["key"].encode() not in kept
        assert made["key"][-64:].encode() not in kept
    assert digest(made["key"]).encode() in log.principals.records[0]


def test_the_history_has_the_name_of_the_principal(locked: Served) -> None:
    client, _ = locked
    headers = bearer(make(client).json()["key"])
    client.headers.update(headers)
    job = make_job(client).json()
    assert (job["organisation"], job["created_by"]) == ("acme", "ada"), "its one organisation goes without saying"
    assert client.post(f"/v1/jobs/{job['id']}/pause", json={"reason": "why"}).status_code == 202
    history = client.get(f"/v1/jobs/{job['id']}/history").json()["history"]
    assert {entry["by"] for entry in history if entry["event"] in ("Created", "PauseRequested")} == {"ada"}
    who = client.get("/v1/principal").json()
    assert (who["name"], who["role"], who["organisations"]) == ("ada", "operator", ["acme"])


def test_a_key_ends_when_it_is_revoked_and_when_its_time_is_over(locked: Served) -> None:
    client, log = locked
    made = make(client, expires=30).json()
    headers = bearer(made["key"])
    assert client.get("/v1/jobs", headers=headers).status_code == 200
    revoked = client.delete(f"/v1/keys/{made['id']}", headers=ADMIN).json()
    assert (revoked["usable"], revoked["revoked_by"]) == (False, "admin")
    again = client.delete(f"/v1/keys/{made['id']}", headers=ADMIN).json()
    assert again["revoked_at"] == revoked["revoked_at"]
    refused = client.get("/v1/jobs", headers=headers)
    assert (refused.status_code, "was revoked" in refused.json()["error"]["message"]) == (401, True)
    expired = log.principals.key("viewer", "acme", expires_at=now_ms() - 1)
    assert "has expired" in client.get("/v1/jobs", headers=bearer(expired)).json()["error"]["message"]
    days = (log.principals.feed.registry.keys[made["id"]].expires_at or 0) - now_ms()
    assert 29 * DAY_MS < days <= 30 * DAY_MS


def test_the_last_use_is_written_once_an_hour(locked: Served) -> None:
    client, log = locked
    made = make(client).json()
    for _ in range(3):
        assert client.get("/v1/jobs", headers=bearer(made["key"])).status_code == 200
    uses = [record for record in log.principals.records if b'"use"' in record]
    assert len(uses) == 1
    assert client.get("/v1/keys", headers=ADMIN).json()["keys"][0]["last_used_at"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"organisation": None}, "all_organisations"),
        ({"all_organisations": True}, "all_organisations"),
        ({"organisation": "a b"}, "organisation 'a b'"),
        ({"organisation": None, "organisations": []}, "all_organisations"),
        ({"role": "owner"}, "role"),
        ({"kind": "robot"}, "kind"),
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "Admin"}, "taken by Sluice"),
        ({"expires": 0}, "number of days"),
        ({"expires": -1}, "number of days"),
        ({"expires": 1e9}, "number of days"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_key_that_can_not_be_is_refused_in_words(locked: Served, body: dict[str, Any], word: str) -> None:
    client, log = locked
    answer = make(client, **body)
    assert (answer.status_code, word in answer.json()["error"]["message"]) == (400, True), answer.text
    assert not log.principals.feed.registry.keys


def test_names_that_sluice_gives_are_not_to_be_had() -> None:
    for name in RESERVED:
        assert key_problem(WantedKey(name, ("acme",), Role.VIEWER), None) is not None


def test_an_admin_of_one_organisation_manages_its_keys_alone(locked: Served) -> None:
    client, log = locked
    own = bearer(log.principals.key("admin", "acme"))
    ours = make(client).json()
    theirs, both = make(client, organisation="globex").json(), make(client, organisations=["acme", "globex"])
    everyone = make(client, organisation=None, all_organisations=True).json()
    assert both.status_code == 201
    seen = {key["id"] for key in client.get("/v1/keys", headers=own).json()["keys"]}
    assert ours["id"] in seen
    assert not {theirs["id"], both.json()["id"], everyone["id"]} & seen
    for other in (theirs, both.json(), everyone):
        assert client.delete(f"/v1/keys/{other['id']}", headers=own).status_code == 404
    for more in ({"organisation": "globex"}, {"all_organisations": True}, {"organisations": ["acme", "globex"]}):
        answer = client.post("/v1/keys", json={"name": "x", "role": "viewer", **more}, headers=own)
        assert answer.status_code == 403, more
    assert client.delete(f"/v1/keys/{ours['id']}", headers=own).status_code == 200
    events = client.get("/v1/security-events", headers=own).json()["events"]
    assert {event["by"] for event in events} == {"admin of acme"}
    assert len(client.get("/v1/security-events", headers=ADMIN).json()["events"]) > len(events)


def test_an_organisations_keys_have_a_limit_that_revoking_makes_room_in(tmp_path: Path) -> None:
    app, _ = stub(tmp_path, api_require_key=True, limits='{"organisations": {"acme": {"keys": 2}}}')
    with TestClient(app) as client:
        first = make(client).json()
        assert make(client, organisation=None, organisations=["acme", "globex"]).status_code == 201
        refused = make(client)
        assert (refused.status_code, refused.json()["error"]["details"]["limit"]) == (429, "keys")
        assert make(client, organisation="globex").status_code == 201, "others have room"
        limits = client.get("/v1/limits?organisation=acme", headers=ADMIN).json()["limits"]
        assert next(limit["used"] for limit in limits if limit["name"] == "keys") == 2
        client.delete(f"/v1/keys/{first['id']}", headers=ADMIN)
        assert make(client).status_code == 201


def test_an_organisations_sessions_have_a_limit_that_signing_out_makes_room_in(tmp_path: Path) -> None:
    app, log = stub(tmp_path, api_require_key=True, limits='{"organisations": {"acme": {"sessions": 1}}}')
    with TestClient(app, follow_redirects=False) as client:

        def signs_in(key: str) -> Any:
            client.cookies.clear()
            return client.post("/sign-in", data={"key": key}, headers=OWN)

        ours, theirs = log.principals.key("viewer", "acme"), log.principals.key("viewer", "globex")
        assert signs_in(ours).status_code == 303
        cookies = dict(client.cookies)
        refused = signs_in(ours)
        assert refused.status_code == 429 and "sessions" in refused.text and not client.cookies
        assert signs_in(theirs).status_code == signs_in("secret").status_code == 303, "others have room"
        limits = client.get("/v1/limits?organisation=acme", headers=ADMIN).json()["limits"]
        assert next(limit["used"] for limit in limits if limit["name"] == "sessions") == 1
        client.cookies.clear()
        client.cookies.update(cookies)
        client.post("/sign-out", headers=OWN)
        assert signs_in(ours).status_code == 303


def test_keys_that_ended_long_ago_leave_the_list_and_are_refused_as_before(locked: Served) -> None:
    client, log = locked
    now = now_ms()
    revoked = log.principals.key("viewer", "acme", revoked_at=now - 401 * DAY_MS)
    expired = log.principals.key("viewer", "acme", expires_at=now - 401 * DAY_MS)
    lately = log.principals.key("viewer", "acme", revoked_at=now - 399 * DAY_MS)
    used = log.principals.key("viewer", "acme")
    made = make(client).json()
    listed = {key["id"] for key in client.get("/v1/keys", headers=ADMIN).json()["keys"]}
    assert listed == {made["id"], *(text.split("_")[1] for text in (lately, used))}
    for text in (revoked, expired, lately):
        assert client.get("/v1/jobs", headers=bearer(text)).status_code == 401
    assert client.get("/v1/jobs", headers=bearer(used)).status_code == 200


def test_the_commands_make_list_and_revoke_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = stub(tmp_path)
    with TestClient(app) as client:
        monkeypatch.setenv("SLUICE_API_URL", "http://testserver")
        original = connection.Api
        monkeypatch.setattr(connection, "Api", lambda: original(client._transport))

        def run(*words: str, code: int = 0) -> str:
            result = CliRunner().invoke(cli, ["keys", *words])
            assert result.exit_code == code, (result.output, result.exception)
            return result.output

        assert "no keys yet" in run("list")
        made = run("create", "loader", "--organisation", "acme", "--role", "operator", "--kind", "service", "--json")
        key = connection.json.loads(made)
        assert (key["name"], key["kind"], key["organisations"]) == ("loader", "service", ["acme"])
        text = run("create", "ada", "--all-organisations", "--role", "viewer", "--expires", "7")
        assert "sluice_" in text and "until" in text
        assert "in use" in run("list") and "all" in run("list")
        assert f"Key {key['id']} of loader is revoked" in run("revoke", key["id"])
        listed = connection.json.loads(run("list", "--json"))
        assert [one["usable"] for one in listed if one["name"] == "loader"] == [False]
        for wrong in (["create", "x", "--role", "viewer"], ["create", "x", "--role", "boss", "--organisation", "a"]):
            run(*wrong, code=2)
        run("revoke", "nosuchkey0", code=2)
        run("revoke", "../jobs", code=2)


# -- roles -----------------------------------------------------------------------------------------------------------


def test_who_may_only_read_is_told_which_role_it_takes(locked: Served) -> None:
    client, log = locked
    client.headers.update(bearer(log.principals.key("operator", "acme")))
    job = make_job(client).json()
    client.headers.update(bearer(log.principals.key("viewer", "acme")))
    refused = client.post(f"/v1/jobs/{job['id']}/pause")
    assert refused.status_code == 403
    assert "needs the role operator" in refused.json()["error"]["message"]
    assert client.get(f"/v1/jobs/{job['id']}").status_code == 200
    assert make_job(client).status_code == 403
    assert client.get("/v1/keys").status_code == 403


# -- wrong keys ------------------------------------------------------------------------------------------------------


def test_wrong_keys_are_slowed_and_right_ones_are_not(locked: Served) -> None:
    client, log = locked
    right = bearer(log.principals.key("viewer", "acme"))
    assert client.get("/v1/jobs", headers=ADMIN).status_code == 200
    codes = [client.get("/v1/jobs", headers=bearer(f"wrong{number}")).status_code for number in range(FREE + 3)]
    assert codes == [401] * FREE + [429] * 3
    slowed = client.get("/v1/jobs", headers=bearer("guess"))
    assert int(slowed.headers["retry-after"]) > 0
    assert client.get("/v1/jobs", headers=right).status_code == 200
    assert client.get("/v1/jobs", headers=ADMIN).status_code == 200, "it was right before"
    events = client.get("/v1/security-events", headers=ADMIN).json()["events"]
    assert [event["event"] for event in events] == ["slowed"] + ["refused"] * (FREE - 1)
    assert all("wrong" not in str(event) and event["address"] == "testclient" for event in events)


def test_while_an_address_is_slowed_the_key_by_setting_is_not_compared(locked: Served) -> None:
    client, _ = locked
    for number in range(FREE):
        client.get("/v1/jobs", headers=bearer(f"wrong{number}"))
    assert client.get("/v1/jobs", headers=ADMIN).status_code == 429


def test_a_beginning_of_a_key_is_slowed_wherever_it_comes_from() -> None:
    attempts, key = Attempts(), new_key(lambda count: b"\7" * count).text
    for number in range(FREE):
        assert attempts.wait(f"10.0.0.{number}", key, 0) == 0
        attempts.wrong(f"10.0.0.{number}", f"{key[:30]}{number}", 0)
    assert attempts.wait("10.0.1.1", key, 0) > 0
    assert attempts.wait("10.0.1.1", new_key(lambda count: b"\1" * count).text, 0) == 0


def test_a_budget_comes_back_with_time() -> None:
    budget = Budget(free=2, every_seconds=10)
    budget.spend("a", 0)
    budget.spend("a", 0)
    assert (budget.wait("a", 0), budget.wait("b", 0), budget.wait("a", 10)) == (10, 0, 0)
    budget.spend("a", 10)
    assert budget.wait("a", 10) == 10


def test_addresses_of_one_customer_are_one() -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff:2") != network("2001:db8:0:1::1")
    assert network("10.0.0.1") != network("10.0.0.2")
    assert network("testclient") == "testclient"


# -- the page --------------------------------------------------------------------------------------------------------


def sign_in(client: TestClient, key: str) -> Any:
    client.cookies.clear()
    return client.post("/sign-in", data={"key": key}, headers=OWN)


def test_a_session_is_ended_by_signing_out_wherever_its_cookie_is(locked: Served) -> None:
    client, log = locked
    assert sign_in(client, log.principals.key("viewer", "acme", name="ada")).status_code == 303
    cookie = client.cookies["sluice_session"]
    page = client.get("/")
    assert "ada, viewer of acme" in text_of(page.text)
    assert cookie.encode() not in b"".join(log.principals.records)
    assert client.post("/sign-out", headers=OWN).status_code == 303
    assert client.get("/", headers={"Cookie": f"sluice_session={cookie}"}).status_code == 303
    assert not log.principals.feed.registry.sessions
    names = [event["event"] for event in client.get("/v1/security-events", headers=ADMIN).json()["events"]]
    assert names == ["signed-out", "signed-in"]


def test_a_session_ends_with_its_key(locked: Served) -> None:
    client, _ = locked
    made = make(client).json()
    assert sign_in(client, made["key"]).status_code == 303
    assert client.get("/").status_code == 200
    client.delete(f"/v1/keys/{made['id']}", headers=ADMIN)
    assert client.get("/").status_code == 303
    assert sign_in(client, made["key"]).status_code == 401


def test_a_session_of_the_admin_ends_when_the_key_by_setting_is_another(locked: Served) -> None:
    client, _ = locked
    assert sign_in(client, "secret").status_code == 303
    assert client.get("/").status_code == 200
    client.app.state.services.authenticator.admin_key = "another"  # type: ignore[attr-defined]
    assert client.get("/").status_code == 303


CALLERS = {
    "setting": Caller("admin"),
    "key": Caller("ada", frozenset({"acme"}), Role.VIEWER, "service", "key"),
    "provider": Caller("ada", frozenset({"acme", "globex"}), Role.OPERATOR, "person", "provider"),
}


@pytest.mark.parametrize("vouched", get_args(Vouched))
@pytest.mark.parametrize("everywhere", [False, True])
def test_a_session_is_of_the_caller_that_began_it(locked: Served, vouched: Vouched, everywhere: bool) -> None:
    """With each of those who may vouch for it: its jobs and idempotency keys are the same on the page and by REST."""
    _, log = locked
    store, begun = PrincipalStore(log.principals.feed, log.principals), CALLERS[vouched]
    if vouched == "key":
        begun = replace_caller(begun, key_id=log.principals.key("viewer", "acme").split("_")[1])
    if everywhere:
        begun = replace_caller(begun, organisations=None)

    async def sessions() -> list[Caller | None]:
        cookie, _ = await begin_session(store, QuotaBook(), begun, "secret", "https://login.example")
        (session,) = log.principals.feed.registry.sessions.values()
        assert (session.issuer is not None, session.proof is not None) == (vouched == "provider", vouched == "setting")
        found = [await caller_of_session(store, cookie, "secret"), await caller_of_session(store, cookie, "another")]
        # As versions wrote it that did not say who vouches.
        log.principals.feed.registry.sessions[session.sha256] = replace(session, vouched=msgspec.UNSET)
        return [*found, await caller_of_session(store, cookie, "secret")]

    found, elsewhere, old = asyncio.run(sessions())
    assert found is not None and found == old
    assert replace_caller(found, session=None, ends_at=None) == begun and found.identity == begun.identity
    assert elsewhere == (None if vouched == "setting" else found), "the admin's ends with the key by setting"


def test_a_session_that_says_it_is_the_admins_and_proves_nothing_is_none(locked: Served) -> None:
    client, log = locked
    sign_in(client, "secret")
    registry = log.principals.feed.registry
    (session,) = registry.sessions.values()
    registry.sessions[session.sha256] = replace(session, proof=None)
    assert client.get("/").status_code == 303


def test_a_session_whose_time_is_over_is_none_and_leaves_the_topic(locked: Served) -> None:
    client, log = locked
    sign_in(client, log.principals.key("viewer", "acme"))
    registry = log.principals.feed.registry
    (session,) = registry.sessions.values()
    registry.sessions[session.sha256] = replace(session, ends_at=now_ms())
    assert client.get("/").status_code == 303
    sign_in(client, "secret")
    wait_until(lambda: session.sha256 not in registry.sessions, "it is removed, which nobody waits for")
    assert len(registry.sessions) == 1


def test_a_viewer_is_offered_no_command_and_an_admin_the_keys(locked: Served) -> None:
    client, log = locked
    sign_in(client, log.principals.key("operator", "acme"))
    client.headers.update(bearer(log.principals.key("operator", "acme")))
    job = make_job(client).json()["id"]
    path = f"/jobs/{job}"
    operators = client.get(path).text
    assert f'action="{path}/pause"' in operators
    assert 'action="/start/upload' in client.get("/").text
    assert 'href="/keys"' not in operators
    sign_in(client, log.principals.key("viewer", "acme"))
    viewers = client.get(path).text
    assert "action=" not in viewers.replace('action="/sign-out"', "")
    assert "You may read" in viewers
    assert 'action="/start' not in client.get("/").text
    assert client.post(f"{path}/pause", data={}, headers=OWN).status_code == 403
    assert client.get("/keys").status_code == 403
    sign_in(client, log.principals.key("admin", "acme"))
    assert 'href="/keys"' in client.get("/").text


def test_the_page_of_keys_makes_one_and_revokes_it(locked: Served) -> None:
    client, log = locked
    sign_in(client, "secret")
    page = client.get("/keys").text
    once = re.search(r'name="once" value="([^"]+)"', page)
    assert once is not None
    form = {"once": once[1], "name": "<b>ada</b>", "kind": "person", "role": "viewer", "organisations": "acme, globex"}
    made = client.post("/keys", data=form, headers=OWN)
    assert made.status_code == 200
    text = re.search(r"sluice_[0-9a-z]{10}_[0-9a-f]{64}", made.text)
    assert text is not None
    assert "<b>ada</b>" not in made.text and "<b>ada</b>" in text_of(made.text)
    assert text[0] not in client.get("/keys").text
    assert client.get("/v1/jobs", headers=bearer(text[0])).status_code == 200
    repeated = client.post("/keys", data=form, headers=OWN)
    assert (repeated.status_code, len(log.principals.feed.registry.keys)) == (409, 1)
    wrong = client.post("/keys", data={**form, "once": "0" * 10, "organisations": ""}, headers=OWN)
    assert (wrong.status_code, "which organisations" in text_of(wrong.text)) == (400, True)
    assert client.post(f"/keys/{once[1]}/revoke", headers=OWN, data={}).headers["location"] == "/keys"
    assert client.get("/v1/jobs", headers=bearer(text[0])).status_code == 401
    assert "Revoked and expired (1)" in client.get("/keys").text


def test_on_a_local_stack_without_keys_someone_can_sign_in_as_a_team(tmp_path: Path) -> None:
    app, log = stub(tmp_path)
    with TestClient(app, follow_redirects=False) as client:
        ours = make_job(client, organisation="acme").json()["id"]
        theirs = make_job(client, organisation="globex", key="2").json()["id"]
        assert client.get(f"/jobs/{theirs}").status_code == 200
        assert "Sign in" in client.get("/").text
        sign_in(client, log.principals.key("viewer", "acme"))
        assert client.get(f"/jobs/{ours}").status_code == 200
        assert client.get(f"/jobs/{theirs}").status_code == 404


# -- what ends while it runs -----------------------------------------------------------------------------------------


def test_what_a_revoked_key_was_sending_takes_no_effect(locked: Served) -> None:
    client, log = locked
    made = make(client).json()

    def body() -> Iterator[bytes]:
        yield b'{"operation": "export", "dataset": "people", '
        keys = log.principals.feed.registry.keys
        keys[made["id"]] = replace(keys[made["id"]], revoked_at=now_ms())
        yield b'"from": "2026-01-01"}'

    headers = {**bearer(made["key"]), "Content-Type": "application/json"}
    answer = client.post("/v1/jobs", content=body(), headers=headers)
    assert (answer.status_code, log.sent) == (401, [])
    assert "no more of it is taken" in answer.json()["error"]["message"]


def test_no_body_of_a_key_that_was_revoked_meanwhile_takes_effect(locked: Served) -> None:
    """Each route that takes JSON."""
    client, log = locked
    admin = make(client, name="ours", role="admin").json()
    own = bearer(admin["key"])
    client.headers.update(own)
    job_id = make_job(client, organisation="acme").json()["id"]
    client.headers.pop("Authorization")
    places = {"job_id": job_id, "name": "ours", "webhook_id": "0123456789"}
    store = log.webhooks
    hook = Webhook(
        id="0123456789", name="w", organisation="acme", url="https://93.184.216.34/", secret="whsec_AAAA",
        created_at=1, created_by="ours",
    )  # fmt: skip
    store.webhooks.put(hook.id, hook)
    routes = [
        (method, path)
        for path, operations in client.get("/openapi.json").json()["paths"].items()
        for method, operation in operations.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]
    assert len(routes) > 12
    before = len(log.sent), dict(store.webhooks.all)
    answers = {}
    for number, (method, path) in enumerate(routes):
        made = make(client, name=f"gone-{number}", role="admin").json()

        def body(key_id: str = made["id"]) -> Iterator[bytes]:
            yield b"{"
            keys = log.principals.feed.registry.keys
            keys[key_id] = replace(keys[key_id], revoked_at=now_ms())
            yield b"}"

        headers = {**bearer(made["key"]), "Content-Type": "application/json"}
        answer = client.request(method, path.format(**places), content=body(), headers=headers)
        answers[method, path] = answer.status_code, "no more of it is taken" in answer.text
    assert answers == dict.fromkeys(answers, (401, True))
    assert (len(log.sent), dict(store.webhooks.all)) == before
    assert len(log.principals.feed.registry.keys) == 1 + len(routes), "no other keys than those of this test"


def test_a_file_or_a_folder_of_another_organisation_can_not_be_named(tmp_path: Path) -> None:
    from tests.support.api.stub import PEOPLE, ROW

    folder = tmp_path / "in"
    for organisation in ("acme", "globex"):
        (folder / organisation).mkdir(parents=True)
        (folder / organisation / "people.csv").write_bytes(PEOPLE + ROW)
    (folder / "people.csv").write_bytes(PEOPLE + ROW)
    (folder / "acme" / "link.csv").symlink_to(folder / "globex" / "people.csv")
    app, log = stub(tmp_path, import_folders=str(folder), api_require_key=True)
    with TestClient(app) as client:
        key = bearer(log.principals.key("operator", "acme"))

        def code(name: str, headers: dict[str, str]) -> int:
            body = {"operation": "upload", "dataset": "people", "file": str(folder / name), "organisation": "acme"}
            return client.post("/v1/jobs", json=body, headers=headers).status_code

        refused = ("globex/people.csv", "people.csv", "acme/link.csv", "acme/../globex/people.csv", "globex/none.csv")
        assert {name: code(name, key) for name in refused} == dict.fromkeys(refused, 403)
        assert code("acme/people.csv", key) == 201
        rest(log, next(iter(log.live.view.jobs)))
        assert code("people.csv", ADMIN) in (201, 409)


# -- the registry ----------------------------------------------------------------------------------------------------


def test_a_record_under_another_key_than_its_own_is_no_key() -> None:
    key = ApiKey(
        id="0" * 10,
        name="a",
        kind="person",
        organisations=("acme",),
        role=Role.VIEWER,
        sha256="x",
        created_at=0,
        created_by="b",
    )
    assert read_principal(b"key/0000000000", encode(key))[1] == key
    for name, value in ((b"key/1111111111", encode(key)), (b"key/0000000000", b"{}"), (None, encode(key))):
        with pytest.raises(UndecodableError):
            read_principal(name, value)
    registry = Registry()
    registry.put("key/0000000000", key)
    registry.put("use/0000000000", KeyUse(id="0" * 10, at=5))
    registry.put("use/0000000000", KeyUse(id="0" * 10, at=3))
    assert registry.uses == {"0000000000": 5}
    registry.put("key/0000000000", None)
    registry.put("nothing", None)
    assert not registry.keys


def test_a_topic_that_is_read_again_brings_no_revoked_key_back() -> None:
    stub = StubPrincipals()
    text = stub.key("viewer", "acme")
    (key,) = stub.feed.registry.keys.values()
    revoked = RecordSeen(1, f"key/{key.id}", replace(key, revoked_at=5))
    stub.feed.take([revoked])
    stub.feed.take([RecordSeen(0, f"key/{key.id}", key)])
    found = stub.feed.registry.key_of(text)
    assert found is not None
    assert end_of(found, 0) == "was revoked"


def test_a_key_without_organisations_in_its_record_is_for_none() -> None:
    """Left out it must not mean all of them."""
    with pytest.raises(UndecodableError):
        read_principal(
            b"key/0000000000",
            b'{"type":"key","id":"0000000000","name":"a","kind":"person","role":"admin","sha256":"x",'
            b'"created_at":0,"created_by":"b"}',
        )
