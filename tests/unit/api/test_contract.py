"""Each route of REST gives every answer that it declares (and no other: `tests/support/api/contract.py`)."""

from __future__ import annotations

import gzip
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from httpx2 import Response
from msgspec.structs import replace
from starlette.testclient import TestClient

from api.principals.attempts import FREE
from api.principals.issuing import MOST_KEYS
from api.uploads.receiving import MOST_JSON_BYTES
from api.web.routing import Endpoint
from schemas.messages.commands import PurgeEnded, UndoChecked
from schemas.messages.webhooks import Delivery, delivery_key
from schemas.policies.principals import Role
from tests.support.api.stub import PEOPLE, ROW, StubElasticsearch, StubLog, make_job, rest, stub
from tests.support.api.world import CORRECTED, ROUTES, UPLOAD, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.open.close()


def nothing_left(log: StubLog, job_id: str) -> None:
    log.report(UndoChecked(job_id=job_id, epoch=log.live.view.jobs[job_id].epoch, remaining=0))


def resting(world: World, name: str, query: str) -> Response:
    job_id = world.running()
    world.at_once(job_id, rest)
    return world.ask(name, job_id, query, **({"json": {"keep_rows": True}} if name == "terminateJob" else {}))


def taken_out(world: World, query: str) -> Response:
    job_id = world.running()
    world.at_once(job_id, lambda log, job_id: rest(log, job_id, rows=0))
    world.ask("terminateJob", job_id, json={"keep_rows": True})
    world.at_once(job_id, nothing_left)
    return world.ask("rollbackJob", job_id, query)


def crowded(world: World) -> Response:
    world.start(api_connections=10)
    world.client.app.state.services.streams["another"] = 5  # type: ignore[attr-defined]
    return world.ask("watchJob", world.running())


def started(world: World) -> tuple[Response, Response]:
    job_id = world.tried()
    return world.ask("startJob", job_id), world.ask("startJob", job_id)


def made_twice(world: World, **second: Any) -> Response:
    make_job(world.client, key="k")
    return make_job(world.client, **{"key": "k", **second})


def file_gone(world: World) -> Response:
    job_id = world.tried()
    for path in world.folder.rglob("people.csv"):
        path.unlink()
    return world.ask("createJob", json={"source": {"job": job_id}})


def inbox(world: World) -> Response:
    job_id = world.ask("createJob", json={**UPLOAD, "source": "topic"}).json()["id"]
    return world.ask("endInput", job_id)


def part(world: World, **headers: str) -> Response:
    return world.ask("getResult", world.exported(), headers=headers)


def known_part(world: World) -> Response:
    job_id = world.exported()
    etag = world.ask("getResult", job_id).headers["etag"]
    return world.ask("getResult", job_id, headers={"If-None-Match": etag})


def without_kafka(world: World, name: str) -> Response:
    job_id = world.fitting_job(name) if ROUTES[name].of_a_job else ""
    world.log.up = False
    return world.ask(name, job_id)


def without_elasticsearch(world: World, name: str) -> Response:
    world.start(elasticsearch=StubElasticsearch())
    return world.ask(name, world.fitting_job(name))


def packed_draft(world: World) -> str:
    """A draft whose file has come, and has to be written anew when it starts."""
    job_id = world.draft()
    assert world.ask("appendFile", job_id, content=gzip.compress(PEOPLE + ROW * 100)).status_code == 204
    return job_id


def unpacks_to_too_much(world: World) -> Response:
    world.start(limits='{"stored_bytes": 500}')
    return world.ask("startJob", packed_draft(world))


def full_disk(world: World, name: str, job_id: str = "") -> Response:
    """The answer where a file may have no more than ten bytes, as on a disk that is full then."""
    job_id = job_id or (world.fitting_job(name) if ROUTES[name].of_a_job else "")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        return make_job(world.client) if name == "createJob" else world.ask(name, job_id)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def of_another_organisation(world: World) -> Response:
    headers = {"X-API-Key": world.log.principals.key("viewer", "acme")}
    assert world.ask("getLimits", headers=headers).json()["organisation"] == "acme"
    return world.ask("getLimits", query="?organisation=another", headers=headers)


def purged(world: World) -> Response:
    job_id = world.completed()

    def done(log: StubLog, job_id: str) -> None:
        log.report(PurgeEnded(job_id=job_id, epoch=log.live.view.jobs[job_id].epoch))

    world.at_once(job_id, done)
    return world.ask("purgeJob", job_id, "?wait=5")


def without_principals(world: World) -> Response:
    world.log.principals.up = False
    return world.ask("createKey")


def too_many_keys(world: World) -> Response:
    made, keys = world.made_key(), world.log.principals.feed.registry.keys
    keys.update((f"k{number}", keys[made]) for number in range(MOST_KEYS))
    return world.ask("createKey")


def of_a_webhook(name: str) -> Callable[[World], Response]:
    return lambda world: world.ask(name, webhook_id=world.made_webhook())


def without_webhooks(world: World, name: str) -> Response:
    webhook_id = world.made_webhook()
    if name == "redeliver":
        pend(world, webhook_id)
    world.log.webhook_topics.up = False
    return world.ask(name, webhook_id=webhook_id)


def pend(world: World, webhook_id: str) -> None:
    times = {"created_at": 0, "begun_at": 0}
    lost = Delivery(
        webhook_id=webhook_id, organisation="acme", event_id="e1", event_type="t", job_id="j", body="{}",
        status="failed", **times,
    )  # fmt: skip
    world.log.webhooks.deliveries.put(delivery_key(lost), lost)


def webhook_off(world: World) -> Response:
    webhook_id, known = world.made_webhook(), world.log.webhooks.webhooks
    known.put(webhook_id, replace(known.all[webhook_id], off_since=1))
    return world.ask("redeliver", webhook_id=webhook_id)


def untestable(world: World) -> Response:
    webhook_id = world.ask("createWebhook", json={"organisation": "acme"}).json()["id"]
    return world.ask("testWebhook", webhook_id=webhook_id)


def about(name: str) -> Callable[[World], Response]:
    return lambda world: world.ask(name, world.fitting_job(name))


def plain(name: str) -> Callable[[World], Response]:
    return lambda world: world.ask(name)


WEBHOOK_ROUTES = ("getWebhook", "deleteWebhook", "testWebhook", "makeWebhookSecret", "listDeliveries", "redeliver")
WAYS: dict[tuple[str, int], Callable[[World], Response]] = {
    **{(name, 200): plain(name) for name in ("listJobs", "listDatasets", "getStats", "getLimits")},
    ("getLimits", 404): of_another_organisation,
    ("createJob", 507): lambda world: full_disk(world, "createJob"),
    ("retryErrors", 507): lambda world: full_disk(world, "retryErrors"),
    ("appendFile", 507): lambda world: full_disk(world, "appendFile"),
    ("startJob", 507): lambda world: full_disk(world, "startJob", packed_draft(world)),
    ("startJob", 413): unpacks_to_too_much,
    **{(name, 200): plain(name) for name in ("healthz", "readyz", "metrics", "getDescription")},
    **{(name, 200): about(name) for name in ("getJob", "getHistory", "getErrors", "getErrorsCsv", "getPreview")},
    **{(name, 200): about(name) for name in ("getErrorGroups", "getSeries", "getReport")},
    ("getErrors", 404): lambda world: world.ask("getErrors", world.running(), "?like=999"),
    ("estimateExport", 200): plain("estimateExport"),
    **{(name, 200): about(name) for name in ("getChanges", "getChangesCsv", "getUndone", "getUndoneCsv")},
    **{
        (name, 404): lambda world, name=name: world.ask(name, world.running())
        for name in ("getChanges", "getChangesCsv", "getUndone", "getUndoneCsv")
    },
    ("createJob", 201): lambda world: make_job(world.client),
    ("createJob", 403): lambda world: world.ask("createJob", json={**UPLOAD, "file": "/etc/hostname"}),
    ("createJob", 404): lambda world: world.ask("createJob", json={"source": {"job": "0" * 16}}),
    ("createJob", 410): file_gone,
    ("createJob", 409): lambda world: made_twice(world, key="other"),
    ("createJob", 422): lambda world: made_twice(world, body=PEOPLE),
    ("createJob", 503): lambda world: without_kafka(world, "createJob"),
    **{(name, 200): plain(name) for name in ("listMappings", "getMapping", "saveMapping")},
    ("removeMapping", 204): plain("removeMapping"),
    ("getMapping", 404): lambda world: world.ask("getMapping", name_of="none"),
    **{
        (name, 503): lambda world, name=name: without_elasticsearch(world, name)
        for name in ("listMappings", "getMapping", "saveMapping", "removeMapping")
    },
    ("getFile", 200): about("getFile"),
    ("getFile", 409): lambda world: world.ask("getFile", world.running()),
    ("appendFile", 204): about("appendFile"),
    ("appendFile", 409): lambda world: world.ask("appendFile", world.running()),
    ("appendFile", 413): lambda world: world.ask("appendFile", world.draft(size=3)),
    ("watchJob", 200): lambda world: world.ask("watchJob", world.completed()),
    ("watchJob", 503): crowded,
    ("pauseJob", 200): lambda world: resting(world, "pauseJob", "?wait=5"),
    ("pauseJob", 202): about("pauseJob"),
    ("pauseJob", 409): lambda world: world.ask("pauseJob", world.completed()),
    ("resumeJob", 200): lambda world: world.ask("resumeJob", world.paused(), "?wait=5"),
    ("resumeJob", 202): lambda world: world.ask("resumeJob", world.paused()),
    ("resumeJob", 409): lambda world: world.ask("resumeJob", world.completed()),
    ("terminateJob", 200): lambda world: resting(world, "terminateJob", "?wait=5"),
    ("terminateJob", 202): about("terminateJob"),
    ("terminateJob", 409): lambda world: world.ask("terminateJob", world.completed()),
    ("rollbackJob", 200): lambda world: taken_out(world, "?wait=5"),
    ("rollbackJob", 202): lambda world: world.ask("rollbackJob", world.completed()),
    ("rollbackJob", 409): about("rollbackJob"),
    ("actOnJobs", 200): plain("actOnJobs"),
    ("actOnJobs", 202): lambda world: (world.running(), world.ask("actOnJobs"))[1],
    ("purgeJob", 200): purged,
    ("purgeJob", 202): lambda world: world.ask("purgeJob", world.completed()),
    ("purgeJob", 409): about("purgeJob"),
    ("setRate", 200): about("setRate"),
    ("setRate", 409): lambda world: world.ask("setRate", world.completed()),
    ("endInput", 202): inbox,
    ("endInput", 409): about("endInput"),
    ("startJob", 200): lambda world: started(world)[1],
    ("startJob", 201): lambda world: started(world)[0],
    ("startJob", 409): lambda world: world.ask("startJob", world.completed()),
    ("retryErrors", 202): about("retryErrors"),
    ("retryErrors", 413): lambda world: world.ask(
        "retryErrors", world.fitting_job("retryErrors"), content=gzip.compress(CORRECTED + bytes(10**7))
    ),
    ("retryErrors", 409): lambda world: world.ask("retryErrors", world.running()),
    **{
        (name, 503): lambda world, name=name: without_kafka(world, name)
        for name in (
            "pauseJob",
            "resumeJob",
            "terminateJob",
            "rollbackJob",
            "purgeJob",
            "setRate",
            "endInput",
            "startJob",
        )
    },
    **{
        (name, 503): lambda world, name=name: without_elasticsearch(world, name)
        for name in (
            *("retryErrors", "getErrors", "getErrorsCsv", "getErrorGroups", "getSeries"),
            *("getPreview", "getChanges", "getChangesCsv"),
        )
    },
    ("getPreview", 404): lambda world: world.ask("getPreview", world.running()),
    ("getResult", 200): part,
    ("getResult", 206): lambda world: part(world, Range="bytes=2-4"),
    ("getResult", 304): known_part,
    ("getResult", 404): lambda world: world.ask("getResult", world.running()),
    ("getResult", 409): lambda world: world.ask("getResult", world.exporting()),
    ("getResult", 416): lambda world: part(world, Range="bytes=10-"),
    ("createWebhook", 201): plain("createWebhook"),
    ("createWebhook", 409): lambda world: [world.ask("createWebhook", json={"organisation": "a"}) for _ in "12"][1],
    ("createWebhook", 503): lambda world: without_webhooks(world, "createWebhook"),
    ("listWebhooks", 200): plain("listWebhooks"),
    ("deleteWebhook", 204): of_a_webhook("deleteWebhook"),
    **{(name, 200): of_a_webhook(name) for name in WEBHOOK_ROUTES if name != "deleteWebhook"},
    **{(name, 404): plain(name) for name in WEBHOOK_ROUTES},
    **{
        (name, 503): lambda world, name=name: without_webhooks(world, name)
        for name in ("deleteWebhook", "makeWebhookSecret", "redeliver")
    },
    ("testWebhook", 400): untestable,
    ("redeliver", 409): webhook_off,
    ("createKey", 201): plain("createKey"),
    ("createKey", 409): too_many_keys,
    ("createKey", 503): without_principals,
    ("listKeys", 200): plain("listKeys"),
    ("revokeKey", 200): lambda world: world.ask("revokeKey", key_id=world.made_key()),
    ("revokeKey", 404): plain("revokeKey"),
    ("listSecurityEvents", 200): plain("listSecurityEvents"),
    ("getPrincipal", 200): plain("getPrincipal"),
    ("readyz", 503): lambda world: without_kafka(world, "readyz"),
}
"""Operation, status -> what leads to it, besides what leads to a status of every route."""


def implied(world: World, endpoint: Endpoint, code: int) -> Iterator[Response]:
    """Answers to what is wrong with a request whichever the route is."""
    name, json = endpoint.name, {"content-type": "application/json"}
    match code:
        case 400:
            yield world.ask(name, headers={"Host": "evil.example"})
            job_id = world.fitting_job(name) if endpoint.of_a_job else ""
            if endpoint.body is not None:
                yield world.ask(name, job_id, content=b"[", headers=json, json=None)
            for parameter in endpoint.parameters:
                if parameter.place == "query" and parameter.name in ("state", "limit", "wait"):
                    yield world.ask(name, job_id, f"?{parameter.name}=odd")
        case 401 if not endpoint.open:
            yield world.ask(name, headers={"X-API-Key": "wrong"})
        case 429 if not endpoint.open:
            world.start(limits='{"requests_per_second": 0.001}')
            assert world.ask(name).status_code != 429
            yield world.ask(name)
        case 403 if not endpoint.open:
            if endpoint.method != "GET":
                yield world.ask(name, headers={"Origin": "http://evil.example"})
            if endpoint.role is not Role.VIEWER:
                job_id = world.running(organisation="acme") if endpoint.of_a_job else ""
                yield world.ask(name, job_id, headers={"X-API-Key": world.log.principals.key("viewer", "acme")})
        case 404 if endpoint.of_a_job:
            yield world.ask(name)
        case 413 if endpoint.body is not None and endpoint.body.json is not None:
            job_id = world.fitting_job(name) if endpoint.of_a_job else ""
            yield world.ask(name, job_id, content=b" " * (MOST_JSON_BYTES + 1), headers=json, json=None)
        case 429 if not endpoint.open:
            for _ in range(FREE):
                assert world.ask(name, headers={"X-API-Key": "wrong"}).status_code == 401
            yield world.ask(name, headers={"X-API-Key": "wrong"})
        case 503 if not endpoint.open and "Mapping" not in name:
            world.start(caught_up=False)
            yield world.ask(name, headers={"X-API-Key": "sluice_of_whom"})
            if endpoint.of_a_job or name in ("listJobs", "createJob", "getStats", "listKeys", "revokeKey"):
                yield world.ask(name)


@pytest.mark.parametrize(
    ("name", "code"), [(name, code) for name, endpoint in ROUTES.items() for code in endpoint.answers]
)
def test_a_route_gives_the_answer_that_it_declares(world: World, name: str, code: int) -> None:
    answers = [WAYS[name, code](world)] if (name, code) in WAYS else []
    if answers:
        world.start(home=world.folder / "again")
    answers += implied(world, ROUTES[name], code)
    assert answers, f"nothing here leads to {code} of {name}: add it to WAYS"
    assert [answer.status_code for answer in answers] == [code] * len(answers), [answer.text for answer in answers]


def test_nothing_is_tried_that_is_not_declared() -> None:
    assert set(WAYS) <= {(name, code) for name, endpoint in ROUTES.items() for code in endpoint.answers}


@pytest.mark.parametrize("name", [name for name, endpoint in ROUTES.items() if endpoint.body and endpoint.body.json])
def test_the_body_that_is_read_is_the_one_that_is_declared(world: World, name: str) -> None:
    endpoint = ROUTES[name]
    assert endpoint.body and endpoint.body.json
    job_id = world.running() if endpoint.of_a_job else ""
    message = world.ask(name, job_id, json={"odd": 1}).json()["error"]["message"]
    names = {field.encode_name for field in msgspec.structs.fields(endpoint.body.json)}
    assert {name for name in names if name not in message} == set()


def test_the_parameters_that_are_taken_are_those_that_are_declared(world: World) -> None:
    names = ", ".join(parameter.name for parameter in ROUTES["listJobs"].parameters)
    assert f"use {names}" in world.ask("listJobs", query="?odd=1").text


def test_an_answer_that_is_not_declared_ends_the_test(tmp_path: Path) -> None:
    app, log = stub(tmp_path)
    with (
        pytest.raises(AssertionError, match="GET /v1/jobs: 500 is not declared"),
        TestClient(app, raise_server_exceptions=False) as client,
    ):
        log.live.view.jobs = None  # type: ignore[assignment]
        client.get("/v1/jobs")
