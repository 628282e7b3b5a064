"""An installation that takes signed records alone: services by their keys, forgers, replays, and rows of the inbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from devstack.ephemeral import Servers
from runtime.clients import librdkafka_config
from runtime.provision import provision
from schemas.topics import TopicName, topic_name
from signing import sign
from tests.conftest import People, own_settings
from tests.faults.evidence import rejections
from tests.support.processes.cluster import Cluster, Json
from tests.support.processes.upstream import commanded, refused, rows_of
from tests.support.waiting import PATIENCE
from verify.compare import compare

ROWS = 60


@pytest.fixture
def strict(stack: Servers, tmp_path: Path) -> Iterator[Cluster]:
    """A new installation, whose first command was there before its first worker."""
    cluster = Cluster(own_settings(stack, tmp_path, require_signed_commands=True, unknown_job_seconds=15))
    provision(cluster.settings)
    commanded(cluster.settings, "early", b'{"type": "PauseJob", "job_id": "early"}')
    cluster.up()
    try:
        yield cluster
        cluster.check()
    finally:
        cluster.close()


class Service:
    """A service with a key; it writes to Kafka itself."""

    def __init__(self, cluster: Cluster, organisation: str) -> None:
        name = f"svc-{organisation}-operator"
        body = {"name": name, "organisation": organisation, "role": "operator", "kind": "service"}
        made = cluster.call("POST", "/v1/keys", json=body)
        self.name, self.id, self._key = body["name"], made["id"], made["key"]
        self._cluster = cluster
        self._producer = Producer(librdkafka_config(cluster.settings, enable_idempotence=True))

    def send(self, topic: TopicName, message: Json, signed: bool = True, headers: Any = None) -> Any:
        """Write a record; returns its headers."""
        value, job_id = json.dumps(message).encode(), message["job_id"]
        if headers is None:
            headers = sign(self._key, "inbox" if topic == "inbox" else "commands", job_id, value) if signed else []
        self._producer.produce(topic_name(self._cluster.settings.prefix, topic), value, job_id, headers=headers)
        assert self._producer.flush(PATIENCE) == 0
        return headers

    def create(self, job_id: str, organisation: str, **more: Any) -> Any:
        job = {"operation": "upload", "dataset": "people", "source": {"kind": "topic"}, "by": "admin"}
        return self.send(
            "commands", {"type": "CreateJob", "job_id": job_id, "organisation": organisation, **job}, **more
        )


def refusals(cluster: Cluster, job_id: str) -> list[tuple[str, int, str | None]]:
    return [(one.command, one.code, one.by) for one in rejections(cluster.settings) if one.job_id == job_id]


def test_services_sign_and_forgers_are_refused(strict: Cluster, people: People) -> None:
    cluster, rows = strict, rows_of(people(ROWS))
    acme, rival = Service(cluster, "acme"), Service(cluster, "rival")

    # REST goes on as ever: the API signs for its callers.
    by_rest = cluster.upload(people(ROWS), "acme")
    assert cluster.wait_state(by_rest, "COMPLETED")["created_by"] == "admin"

    # A service's own job, with rows of strangers among its own, and commands of strangers.
    acme.create("own", "acme")
    cluster.wait_state("own", "RUNNING")
    rival.send("commands", {"type": "TerminateJob", "job_id": "own"})
    rival.send("commands", {"type": "InputEnded", "job_id": "own", "rows": 1, "by": acme.name})
    acme.send("commands", {"type": "TerminateJob", "job_id": "own", "by": acme.name}, signed=False)
    report = {"type": "LanesDone", "job_id": "own", "lanes": {"0": {"rows_applied": 9, "blocks": 1}}}
    acme.send("commands", report)
    acme.send("commands", report, headers=[("sluice-report", b"0")])
    row = {"job_id": "own", "row": 1, "values": {"name": "Mallory"}}
    rival.send("inbox", row)
    acme.send("inbox", row, signed=False)
    for number, values in rows:
        acme.send("inbox", {"job_id": "own", "row": number, "values": values})
    acme.send("commands", {"type": "InputEnded", "job_id": "own", "rows": ROWS, "by": "root"})
    assert cluster.wait_state("own", "COMPLETED")["created_by"] == acme.name
    verdict = compare(cluster.settings, "own", "people", people(ROWS))
    assert verdict.holds, verdict
    assert refusals(cluster, "own") == [
        ("TerminateJob", 404, "topic"),
        ("InputEnded", 404, "topic"),
        ("TerminateJob", 401, "topic"),
        ("LanesDone", 403, None),
        ("LanesDone", 403, None),
    ]
    reasons = sorted(reason for _, reason in refused(cluster.settings))
    assert [reason.partition(",")[0] for reason in reasons] == ["the record is not signed", "there is no job own"]

    # A replay, by another record of the same signature; the worker that has seen it is gone meanwhile.
    acme.create("again", "acme")
    cluster.wait_state("again", "RUNNING")
    pause: Json = {"type": "PauseJob", "job_id": "again"}
    headers = acme.send("commands", pause)
    cluster.wait_state("again", "PAUSED")
    acme.send("commands", {"type": "ResumeJob", "job_id": "again"})
    cluster.wait_state("again", "RUNNING")
    cluster.worker.kill()
    cluster.start("worker")
    rival.send("commands", pause, headers=headers)
    cluster.wait(lambda: refusals(cluster, "again"), "the replay is refused")
    assert refusals(cluster, "again") == [("PauseJob", 409, "topic")]
    assert cluster.job("again")["state"] == "RUNNING"
    assert {entry["by"] for entry in cluster.history("again") if entry["event"] in ("Created", "Resumed")} == {
        acme.name
    }

    # A key that is revoked.
    cluster.call("DELETE", f"/v1/keys/{acme.id}")
    acme.create("late", "acme")
    cluster.wait(lambda: refusals(cluster, "late"), "the revoked key is refused")
    assert refusals(cluster, "late") == [("CreateJob", 401, "topic")]
