"""What the API writes into its log, and what it never does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient
from starlette.types import Message

from api.principals.caller import Caller
from api.web.ending import BREAK_OFF, ended_with
from control.principals.keys import digest
from tests.support.api.pages import OWN, Served
from tests.support.api.stub import PEOPLE, make_job, stub
from tests.support.waiting import PATIENCE

CELL = "sentinel-of-a-row"
ADMIN = {"X-API-Key": "secret"}


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path, api_require_key=True, log_level="DEBUG")
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, log


def lines(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    found = [record.fields for record in caplog.records if record.name == name]  # type: ignore[attr-defined]
    return [{key: value for key, value in line.items() if value is not None} for line in found]


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """The whole log, without that of the tests' own client."""
    records = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore", "asyncio"))]
    return "\n".join(map(caplog.handler.format, records))


def test_each_request_has_a_line_that_says_who_asked_for_what(locked: Served, caplog: pytest.LogCaptureFixture) -> None:
    client, log = locked
    caplog.set_level(logging.INFO)
    key = log.principals.key("operator", "acme", name="ada")
    headers = {"X-API-Key": key}
    client.headers.update(headers)
    job = make_job(client).json()["id"]
    client.get(f"/v1/jobs/{job}?{CELL}={CELL}")
    client.get(f"/v1/jobs/{CELL}", headers=headers)
    client.get(f"/nothing/{CELL}")
    client.get("/healthz")
    client.get("/v1/jobs", headers={"X-API-Key": "wrong"})
    made, seen, none, nowhere, refused = lines(caplog, "sluice.access")
    assert (made["principal"], made["key"], made["method"], made["route"]) == (
        "ada",
        key.split("_")[1],
        "POST",
        "/v1/jobs",
    )
    assert (seen["route"], seen["job"], seen["status"]) == ("/v1/jobs/{job_id}", job, 200)
    assert (none["status"], "job" in none) == (404, False)
    assert (nowhere["route"], nowhere["status"]) == ("none", 404)
    assert (refused["status"], "principal" in refused) == (401, False)
    assert all(line["ms"] >= 0 and line["address"] == "testclient" for line in (made, seen, none))
    assert CELL not in logged(caplog)


def test_no_key_token_or_value_is_in_a_log_an_error_or_a_metric(
    locked: Served, caplog: pytest.LogCaptureFixture
) -> None:
    client, log = locked
    caplog.set_level(logging.DEBUG)
    made = client.post("/v1/keys", json={"name": "ada", "organisation": "acme", "role": "admin"}, headers=ADMIN).json()
    secrets = [made["key"], digest(made["key"]), "mistyped-secret"]
    client.headers["X-API-Key"] = made["key"]
    answers = [make_job(client, PEOPLE + f"{CELL},x,y,z,blue,2026\n".encode())]
    answers += [client.get("/v1/jobs", headers={"X-API-Key": wrong}) for wrong in (made["key"][:-1], "mistyped-secret")]
    answers += [client.post("/v1/jobs", json={"operation": made["key"]}, headers={"X-API-Key": "mistyped-secret"})]
    answers += [client.post("/sign-in", data={"key": "mistyped-secret"}, headers=OWN)]
    signed_in = client.post("/sign-in", data={"key": made["key"]}, headers=OWN)
    secrets.append(client.cookies["sluice_session"].split(".")[1])
    answers += [signed_in, client.get("/"), client.get("/keys"), client.get("/v1/keys"), client.get("/metrics")]
    answers += [client.get("/v1/security-events"), client.post("/sign-out", headers=OWN)]
    log.live.view.jobs = None  # type: ignore[assignment]
    answers += [client.get("/v1/jobs"), client.get("/"), client.get("/v1/stats")]
    client.app.state.undeclared.clear()  # type: ignore[attr-defined]
    for secret in (*secrets, CELL):
        assert [text for text in (logged(caplog), *(answer.text for answer in answers)) if secret in text] == []
    assert {line["occurrence"] for line in lines(caplog, "sluice.security")} >= {"key-created", "refused", "signed-in"}


def test_a_security_event_is_one_line_whatever_is_in_it(locked: Served, caplog: pytest.LogCaptureFixture) -> None:
    client, _ = locked
    caplog.set_level(logging.INFO)
    client.get("/v1/jobs", headers={b"X-API-Key": b"sluice_0123456789_\xe9\x85"})
    (line,) = [record.getMessage() for record in caplog.records if record.name == "sluice.security"]
    assert "\n" not in line
    (event,) = lines(caplog, "sluice.security")
    assert (event["occurrence"], event["key_id"], event["about"]) == ("refused", "0123456789", "GET /v1/jobs")


def test_refusals_beyond_the_budget_are_counted_and_not_written(
    locked: Served, caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = locked
    caplog.set_level(logging.INFO)
    for number in range(50):
        client.get("/v1/jobs", headers={"X-API-Key": f"wrong{number}"})
    assert len(lines(caplog, "sluice.security")) == 10
    authenticator = client.app.state.services.authenticator  # type: ignore[attr-defined]
    assert authenticator.attempts.unlogged == 40


def test_who_asks_for_more_than_may_be_is_noted(locked: Served, caplog: pytest.LogCaptureFixture) -> None:
    client, log = locked
    caplog.set_level(logging.INFO)
    client.headers["X-API-Key"] = log.principals.key("operator", "acme", name="ada")
    assert make_job(client, organisation="globex").status_code == 403
    assert client.get("/v1/keys").status_code == 403
    events = [(line["occurrence"], line["by"], line["about"]) for line in lines(caplog, "sluice.security")]
    assert events == [("organisation-refused", "ada", "POST /v1/jobs"), ("role-refused", "ada", "GET /v1/keys")]


# -- answers that break off ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_long_answer_breaks_off_when_its_key_ends(locked: Served, how: str) -> None:
    client, log = locked
    key = log.principals.key("viewer", "acme").split("_")[1]
    asking = Caller("ada", frozenset({"acme"}), key_id=key)
    if how == "expired":
        asking = Caller("ada", frozenset({"acme"}), key_id=key, ends_at=1)
    feed, broken, sent = log.principals.feed, [], []

    async def forever() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)
        if how == "revoked" and message.get("body"):
            feed.registry.keys.pop(key)
            feed.take([])

    async def run() -> None:
        answer = ended_with(client.app.state.services, asking, StreamingResponse(forever()))  # type: ignore[attr-defined]
        scope = {"type": "http", "extensions": {BREAK_OFF: lambda: broken.append(True)}}
        async with asyncio.timeout(PATIENCE):
            await answer(scope, receive, send)

    asyncio.run(run())
    assert broken == [True]
    assert not any(message["type"] == "http.response.body" and not message.get("more_body") for message in sent)
