"""Webhooks over the stub: who makes them, what is shown of them, by REST, by the page and by the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient
from typer.testing import CliRunner

from client import BadRequest, Conflict, NotFound, Sluice
from commandline import connection
from commandline.cli import app as cli
from control.webhooks.registry import read_webhook
from control.webhooks.schedule import Outcome
from control.webhooks.signing import id_for_addresses
from schemas.job import Options
from schemas.messages.webhooks import Delivery, delivery_key
from tests.support.api.pages import OWN, Served, text_of
from tests.support.api.stub import make_job, stub

URL = "https://8.8.8.8/hook"
"""Nothing is sent there, and no name server is asked for it."""
NOW = 1_790_000_000_000


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, log


def make(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/webhooks", json={"url": URL, "organisation": "acme", **body})


def error(answer: Any) -> str:
    return str(answer.json()["error"]["message"])


def pend(log: Any, webhook_id: str, number: int = 1, **more: Any) -> Delivery:
    values: dict[str, Any] = {"organisation": "acme", "body": "{}", "created_at": NOW + number, "begun_at": NOW}
    found = Delivery(
        webhook_id=webhook_id,
        place=number,
        event_id=f"e{number}",
        event_type="sluice.job.failed",
        job_id="j1",
        **{**values, **more},
    )
    log.webhooks.deliveries.put(delivery_key(found), found)
    return found


# -- making -----------------------------------------------------------------------------------------------------------


def test_the_secret_is_shown_once(served: Served) -> None:
    client, log = served
    answer = make(client, states=["FAILED"], operations=["upload"], events=["sluice.job.failed"])
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"] == f"/v1/webhooks/{made['id']}"
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made["secret"])
    assert (made["name"], made["condition"], made["states"]) == ("8.8.8.8", "unused", ["FAILED"])
    for path in ("/v1/webhooks", f"/v1/webhooks/{made['id']}", f"/v1/webhooks/{made['id']}/deliveries", "/webhooks"):
        shown = client.get(path)
        assert shown.status_code == 200, shown.text
        assert made["secret"] not in shown.text
    name, value = log.webhook_topics.records[0]
    assert read_webhook(name.encode(), value)[1] == log.webhooks.webhooks.all[made["id"]]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"url": "http://example.org/"}, 400, "https://"),
        ({"url": "https://127.0.0.1/"}, 400, "SLUICE_WEBHOOK_ALLOW_PRIVATE"),
        ({"url": "https://localhost/"}, 400, "private"),
        ({"url": None, "states": ["FAILED"]}, 400, "url is missing"),
        ({"operations": ["paint"]}, 400, "operation 'paint' is not known; use some of export"),
        ({"states": ["ODD"]}, 400, "states"),
        ({"events": ["odd"]}, 400, "events"),
        ({"name": "a b"}, 400, "can't be called"),
        ({"name": "addresses"}, 400, "without an address"),
        ({"organisation": "a b"}, 400, "not a name"),
        ({"colour": "red"}, 400, "colour"),
    ],
)
def test_what_can_t_be_made(served: Served, body: dict[str, Any], code: int, words: str) -> None:
    answer = make(served[0], **body)
    assert answer.status_code == code, answer.text
    assert words in error(answer)
    assert not served[1].webhooks.webhooks.all


def test_names_are_of_one_webhook_each(served: Served) -> None:
    client, _ = served
    assert make(client, name="ops").status_code == 201
    assert make(client, name="ops").status_code == 409
    assert make(client, name="ops", organisation="globex").status_code == 201
    assert [make(client).json()["name"] for _ in range(3)] == ["8.8.8.8", "8.8.8.8-2", "8.8.8.8-3"]


def test_an_organisation_has_so_many_at_most(tmp_path: Path) -> None:
    app, _ = stub(tmp_path, limits=json.dumps({"webhooks": 2}))
    with TestClient(app) as client:
        assert [make(client).status_code for _ in range(3)] == [201, 201, 429]
        assert make(client, organisation="globex").status_code == 201
        limits = client.get("/v1/limits", params={"organisation": "acme"}).json()["limits"]
        assert next(limit["used"] for limit in limits if limit["name"] == "webhooks") == 2


def test_without_kafka_it_is_said_that_nothing_is_known(served: Served) -> None:
    client, log = served
    log.webhook_topics.up = False
    assert make(client).status_code == 503


def test_the_webhook_of_addresses(served: Served) -> None:
    client, log = served
    made = make(client, url=None)
    assert (made.status_code, made.json()["url"], made.json()["name"]) == (201, None, "addresses")
    assert make(client, url=None).status_code == 409
    webhook_id = made.json()["id"]
    assert webhook_id == id_for_addresses("acme")
    assert client.post(f"/v1/webhooks/{webhook_id}/test").status_code == 400
    renewed = client.post(f"/v1/webhooks/{webhook_id}/secret").json()
    assert renewed["secret"] != made.json()["secret"]
    assert log.webhooks.webhooks.all[webhook_id].old_secret == made.json()["secret"]


# -- afterwards -------------------------------------------------------------------------------------------------------


def test_a_webhook_is_deleted(served: Served) -> None:
    client, log = served
    webhook_id = make(client).json()["id"]
    assert client.delete(f"/v1/webhooks/{webhook_id}").status_code == 204
    assert client.delete(f"/v1/webhooks/{webhook_id}").status_code == 404
    assert log.webhook_topics.records[-1] == (webhook_id, None)
    noted = client.get("/v1/security-events").json()["events"]
    assert [event["event"] for event in noted] == ["webhook-deleted", "webhook-created"]


def test_a_test_tells_what_the_receiver_answers(served: Served) -> None:
    client, log = served
    receiver = log.receiver
    webhook_id = make(client).json()["id"]
    tried = client.post(f"/v1/webhooks/{webhook_id}/test").json()
    assert (tried["delivered"], tried["answer"]) == (True, 204)
    assert json.loads(receiver.sent[0].body)["type"] == "sluice.webhook.test"
    receiver.outcome = Outcome(500, "the receiver answered 500")
    assert client.post(f"/v1/webhooks/{webhook_id}/test").json()["error"] == "the receiver answered 500"
    hook = log.webhooks.webhooks.all[webhook_id]
    log.webhooks.webhooks.put(webhook_id, replace(hook, off_since=NOW))
    assert client.get(f"/v1/webhooks/{webhook_id}").json()["condition"] == "off"
    assert client.post(f"/v1/webhooks/{webhook_id}/redeliver").status_code == 409
    receiver.outcome = Outcome(204, None)
    client.post(f"/v1/webhooks/{webhook_id}/test")
    assert client.get(f"/v1/webhooks/{webhook_id}").json()["condition"] == "unused", "it is on again"


def test_deliveries_are_shown_and_sent_again(served: Served) -> None:
    client, log = served
    webhook_id = make(client).json()["id"]
    pend(
        log, webhook_id, 1, attempts=3, due_at=NOW + 9, tried_at=NOW + 5, answer=500, error="the receiver answered 500"
    )
    pend(log, webhook_id, 2, status="failed", tried_at=NOW + 6, attempts=60, error="away")
    pend(log, webhook_id, 3, status="delivered", tried_at=NOW + 4, attempts=1, answer=200)
    path = f"/v1/webhooks/{webhook_id}"
    shown = client.get(path).json()
    assert (shown["condition"], shown["pending"], shown["failed"], shown["error"]) == ("failing", 1, 1, "away")
    assert shown["failing_since"].startswith("2026-09-21")
    page = client.get(f"{path}/deliveries").json()
    assert [one["event_id"] for one in page["deliveries"]] == ["e3", "e2", "e1"]
    assert page["deliveries"][2]["next_at"]
    assert page["deliveries"][2]["given_up_at"]
    assert [one["event_id"] for one in client.get(f"{path}/deliveries?status=failed").json()["deliveries"]] == ["e2"]
    assert client.get(f"{path}/deliveries?status=odd").status_code == 400
    assert client.get(f"{path}/deliveries?limit=0").status_code == 400
    assert client.post(f"{path}/redeliver", json={"event_id": "nope"}).status_code == 404
    assert client.post(f"{path}/redeliver").json() == {"deliveries": 1}
    again = log.webhooks.deliveries.get(f"{webhook_id}/e2")
    assert (again.status, again.attempts) == ("pending", 0)
    assert client.post(f"{path}/redeliver", json={"event_id": "e3"}).json() == {"deliveries": 1}
    assert client.get(path).json()["pending"] == 3


# -- what jobs name ---------------------------------------------------------------------------------------------------


def test_a_job_names_a_webhook_or_an_address(served: Served) -> None:
    client, log = served
    make(client, name="ops")
    made = make_job(client, organisation="acme", options={"notify": "ops"}, key="1")
    assert (made.status_code, made.json()["options"]["notify"]) == (201, "ops")
    assert log.live.view.jobs[made.json()["id"]].options == Options(if_same="allow", notify="ops")
    for named, words in (
        ("ops", "organisation globex has no webhook 'ops'"),
        ("http://example.org/", "https://"),
        ("https://10.0.0.1/", "private"),
        ("two words", "notify is the address of a receiver, or the name of a webhook"),
    ):
        answer = make_job(client, organisation="globex", options={"notify": named})
        assert answer.status_code == 400, named
        assert words in error(answer)
    assert make_job(client, organisation="globex", options={"notify": URL}).status_code == 201


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_makes_one_tests_it_and_deletes_it(served: Served) -> None:
    client, log = served
    page = client.get("/webhooks")
    assert "There are none yet" in text_of(page.text)
    once = re.findall(r'name="once" value="([0-9a-z]{10})"', page.text)[0]
    form = {"once": once, "url": URL, "name": "ops", "organisation": "acme", "states": "FAILED, PAUSED"}
    made = client.post("/webhooks", data=form, headers=OWN)
    assert made.status_code == 200, made.text
    ((made_id, webhook),) = log.webhooks.webhooks.all.items()
    assert webhook.secret in made.text
    assert client.post("/webhooks", data=form, headers=OWN).status_code == 409, "a form that is sent twice"
    assert "took the test" in text_of(client.post(f"/webhooks/{made_id}/test", data={}, headers=OWN).text)
    renewed = client.post(f"/webhooks/{made_id}/secret", data={"x": "y"}, headers=OWN)
    assert log.webhooks.webhooks.all[made_id].secret in renewed.text
    pend(log, made_id, 1, status="failed", tried_at=NOW, error="the receiver answered 500")
    shown = text_of(client.get("/webhooks").text)
    for words in ("failing", "the receiver answered 500", "given up: 1", "only FAILED, PAUSED"):
        assert words in shown
    sent = client.post(f"/webhooks/{made_id}/redeliver", data={"event_id": "e1"}, headers=OWN)
    assert (sent.status_code, log.webhooks.deliveries.waiting(made_id)) == (303, 1)
    assert client.post(f"/webhooks/{made_id}/delete", data={"x": "y"}, headers=OWN).status_code == 303
    assert "There are none yet" in text_of(client.get("/webhooks").text)


def test_a_form_takes_no_other_organisations_place(served: Served) -> None:
    client, log = served
    form = {"once": id_for_addresses("acme"), "url": URL, "organisation": "globex"}
    assert client.post("/webhooks", data=form, headers=OWN).status_code == 200
    assert id_for_addresses("acme") not in log.webhooks.webhooks.all


def test_the_page_says_what_is_wrong_and_keeps_what_was_given(served: Served) -> None:
    client, _ = served
    form = {"once": "0123456789", "url": "https://10.0.0.1/<b>", "name": "ops"}
    answer = client.post("/webhooks", data=form, headers=OWN)
    assert answer.status_code == 400
    assert "private network address" in text_of(answer.text)
    assert "https://10.0.0.1/&lt;b&gt;" in answer.text


# -- the command line -------------------------------------------------------------------------------------------------


def test_the_command_line(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    client, log = served
    original = connection.Api
    monkeypatch.setenv("SLUICE_API_URL", "http://testserver")
    monkeypatch.delenv("SLUICE_API_KEY", raising=False)
    monkeypatch.setattr(connection, "Api", lambda: original(client._transport))

    def sluice(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(cli, ["webhooks", *words])
        assert result.exit_code == code, result.output
        return result.output

    assert "There are no webhooks" in sluice("list")
    made = json.loads(
        sluice("create", URL, "--organisation", "acme", "--state", "failed", "--event", "failed", "--json")
    )
    assert (made["states"], made["events"]) == (["FAILED"], ["sluice.job.failed"])
    assert "whsec_" in sluice("create", URL, "--name", "ops")
    assert json.loads(sluice("list", "--organisation", "acme", "--json"))[0]["id"] == made["id"]
    assert "8.8.8.8" in sluice("list")
    assert "took it: 204" in sluice("test", "ops")
    log.receiver.outcome = Outcome(500, "the receiver answered 500")
    assert "did not take it" in sluice("test", made["id"], code=1)
    pend(log, made["id"], 1, status="failed", tried_at=NOW, error="away")
    assert "away" in sluice("deliveries", made["id"])
    assert json.loads(sluice("deliveries", made["id"], "--status", "failed", "--json"))[0]["event_id"] == "e1"
    assert "1 delivery of" in sluice("redeliver", made["id"])
    assert "whsec_" in sluice("secret", "ops")
    assert "is deleted" in sluice("delete", "ops")
    assert "there is no webhook ops" in sluice("delete", "ops", code=2).replace("'", "")
    assert "is not known" in sluice("create", URL, "--state", "odd", code=2)
    assert json.loads(sluice("create", "night", URL, "--json"))["name"] == "night"
    assert json.loads(sluice("create", "day", "--url", URL, "--json"))["name"] == "day"
    assert "more than one URL" in sluice("create", URL, "--url", URL, code=2)
    assert "url is missing" in sluice("create", "night", code=2)
    assert json.loads(sluice("create", "--json"))["name"] == "addresses"


# -- the client in Python ---------------------------------------------------------------------------------------------


def test_the_python_client(served: Served) -> None:
    client, log = served
    sluice = Sluice("http://testserver", transport=client._transport)
    made = sluice.create_webhook(URL, organisation="acme", states=["FAILED"], events=["sluice.job.failed"])
    assert (made.name, made.states, made.events) == ("8.8.8.8", ["FAILED"], ["sluice.job.failed"])
    assert made.secret == log.webhooks.webhooks.all[made.id].secret
    other = sluice.create_webhook(URL, name="ops")
    assert [one.id for one in sluice.webhooks().webhooks] == [made.id, other.id]
    assert [one.id for one in sluice.webhooks("acme").webhooks] == [made.id]
    assert sluice.test_webhook(made).answer == 204
    log.receiver.outcome = Outcome(500, "the receiver answered 500")
    assert sluice.test_webhook(made.id).error == "the receiver answered 500"
    pend(log, made.id, 1, status="failed", tried_at=NOW, error="away")
    pend(log, made.id, 2)
    assert (sluice.webhook(made).pending, sluice.webhook(made).failed) == (1, 1)
    assert [one.event_id for one in sluice.deliveries(made).deliveries] == ["e2", "e1"]
    assert [one.error for one in sluice.deliveries(made, status="failed", limit=5).deliveries] == ["away"]
    assert [sluice.redeliver(made).deliveries, sluice.redeliver(made, "e2").deliveries] == [1, 1]
    renewed = sluice.renew_webhook_secret(sluice.webhook(made))
    assert renewed.secret == log.webhooks.webhooks.all[made.id].secret != made.secret
    sluice.delete_webhook(renewed)
    assert sluice.create_webhook(None).name == "addresses"
    for call in (sluice.webhook, sluice.delete_webhook, sluice.test_webhook, sluice.deliveries, sluice.redeliver):
        with pytest.raises(NotFound, match="there is no webhook"):
            call(made)
    with pytest.raises(Conflict, match="already"):
        sluice.create_webhook(URL, name="ops")
    with pytest.raises(BadRequest, match="private network"):
        sluice.create_webhook("https://10.0.0.1/hook")
