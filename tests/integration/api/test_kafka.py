"""The API on a real Kafka and Elasticsearch; a thread with the real `react` stands for the control agent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from elasticsearch import Elasticsearch
from starlette.testclient import TestClient

from api.app import create_app
from api.readmodel.following.job_follower import job_follower
from api.readmodel.seen import EventSeen, JobSeen, Seen
from control.creation.exclusive import holder
from control.machine.context import Context
from control.reaction import react
from runtime.clients import librdkafka_config
from runtime.clock import now_ms
from runtime.provision import provision
from runtime.settings import Settings
from schemas.indices import index_name
from schemas.job import Job, LaneTotals, State
from schemas.messages.codec import decode, encode
from schemas.messages.commands import Command
from schemas.messages.lanes import LaneRecord, lane_key
from schemas.messages.progress import RowError
from schemas.topics import DAY_MS, topic_name
from tests.conftest import MakeSettings
from tests.support.api.stub import CATALOG, make_job
from tests.support.waiting import PATIENCE, elasticsearch, wait_until


class Agent:
    """Answers commands as the control agent would, from the beginning of the topic."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.jobs: dict[str, Job] = {}
        self.producer = Producer(librdkafka_config(settings, linger_ms=0))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def put(self, topic: Any, key: bytes, value: bytes | None) -> None:
        self.producer.produce(topic_name(self.settings.prefix, topic), value, key)
        self.producer.flush(PATIENCE)

    def _run(self) -> None:
        consumer = Consumer(librdkafka_config(self.settings, group_id="agent", enable_auto_commit=False))
        consumer.assign([TopicPartition(topic_name(self.settings.prefix, "commands"), 0, 0)])
        while not self._stopping.is_set():
            message = consumer.poll(0.1)
            if message is None or message.error():
                continue
            command: Command = decode(message.value(), Command)
            context = Context(
                offset=message.offset(),
                at=message.timestamp()[1],
                partitions=self.settings.topic_partitions,
                catalog=CATALOG,
                holder=lambda key: holder(self.jobs.values(), key),
            )
            effect = react(self.jobs.get(command.job_id), command, context)
            for record in effect.history:
                self.put("job-events", record.job_id.encode(), encode(record))
            if effect.job is not None:
                self.jobs[effect.job.id] = effect.job
                self.put("jobs", effect.job.id.encode(), encode(effect.job))
        consumer.close()


@pytest.fixture
def own(settings: MakeSettings) -> Settings:
    made = settings(api_require_key=False, topic_partitions=2)
    provision(made)
    return made


@pytest.fixture
def agent(own: Settings) -> Iterator[Agent]:
    started = Agent(own)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def client(own: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(own), base_url="http://localhost") as served:
        wait_until(lambda: served.get("/readyz").status_code == 200, "the API is ready")
        yield served


def test_a_job_is_made_followed_and_remembered(own: Settings, agent: Agent, client: TestClient) -> None:
    first = make_job(client, key="k")
    assert first.status_code == 201
    job_id = first.json()["id"]
    assert make_job(client, key="k").json()["id"] == job_id
    assert make_job(client).status_code == 409
    record = LaneRecord(job_id=job_id, partition=1, partitions=2, totals=LaneTotals(rows_applied=1), at=1)
    agent.put("lanes", lane_key(job_id, 1, "apply"), encode(record))
    path = f"/v1/jobs/{job_id}"
    wait_until(lambda: client.get(path).json()["progress"]["rows_applied"] == 1, "the lane is seen")
    assert client.post(f"{path}/pause", json={"reason": "lunch"}).json()["state"] == "PAUSING"
    assert client.post(f"{path}/resume").status_code == 409
    before = client.get(path).json()
    with TestClient(create_app(own), base_url="http://localhost") as restarted:
        wait_until(lambda: restarted.get("/readyz").status_code == 200, "the API is ready again")
        assert restarted.get(path).json() == before
        happened = restarted.get(f"{path}/history").json()["history"]
    assert [entry["event"] or entry["command"] for entry in happened] == [
        "Created", "Started", "PauseRequested", "ResumeJob",
    ]  # fmt: skip
    assert happened[2]["reason"] == "lunch"


def test_a_command_that_nobody_takes_is_on_record(
    own: Settings, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.readmodel.command_log.ANSWER_SECONDS", 2.0)
    answer = make_job(client)
    assert answer.status_code == 503
    job_id = answer.json()["error"]["details"]["job_id"]
    late = Agent(own)
    late.start()
    wait_until(lambda: client.get(f"/v1/jobs/{job_id}").status_code == 200, "the command has taken effect")
    late.stop()


def test_row_errors_come_in_pages_and_as_csv(own: Settings, agent: Agent, client: TestClient, tmp_path: Path) -> None:
    job_id = make_job(client).json()["id"]
    index = index_name(own.prefix, "errors")
    with elasticsearch(own) as store:
        _store_errors(store, index, job_id, 2500)
    pages, after = 0, None
    rows: list[int] = []
    while pages == 0 or after is not None:
        given = {"limit": 1000, **({"after": after} if after is not None else {})}
        page = client.get(f"/v1/jobs/{job_id}/errors", params=given).json()
        assert page["total"] == 2500
        rows += [error["row"] for error in page["errors"]]
        after, pages = page["next"], pages + 1
    assert rows == list(range(1, 2501))
    lines = client.get(f"/v1/jobs/{job_id}/errors.csv").text.splitlines()
    assert lines[0] == "name,email,sluice_row,sluice_line,sluice_column,sluice_reason"
    assert (len(lines), lines[1]) == (2501, '"A, B",x1,1,2,email,no @')


def _store_errors(store: Elasticsearch, index: str, job_id: str, count: int) -> None:
    operations: list[dict[str, Any]] = []
    for row in range(1, count + 1):
        error = RowError(
            job_id=job_id, row=row, line=row + 1, column="email", value=f"x{row}", reason="no @",
            columns=["name", "email"], values=["A, B", f"x{row}"], at=1,
        )  # fmt: skip
        document = decode(encode(error), dict[str, Any])
        operations += [{"index": {"_id": f"{job_id}:{row}"}}, document]
    assert not store.bulk(index=index, operations=operations)["errors"]


def take_senders_times(config: Settings, topic: str) -> None:
    """Have a topic's records carry the time that their sender gives, so that some can be old."""
    entry = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(librdkafka_config(config))
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(PATIENCE)

    def taken() -> bool:
        (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        return bool(future.result(PATIENCE)["message.timestamp.type"].value == "CreateTime")

    wait_until(taken, "the broker takes the new setting")


def test_a_start_does_not_read_the_history_of_jobs_that_left_long_ago(own: Settings) -> None:
    producer = Producer(librdkafka_config(own))
    names = {name: topic_name(own.prefix, name) for name in ("jobs", "job-events")}  # type: ignore[arg-type]
    take_senders_times(own, names["job-events"])
    now = now_ms()
    for at, key in ((1, b"gone"), (now - 30 * DAY_MS, b"gone"), (now, b"known"), (now, b"newer")):
        producer.produce(names["job-events"], b'{"type": "event"}', key, timestamp=at)

    def state(job_id: str, state: State, created_at: int) -> None:
        job = Job(
            id=job_id, operation="upload", dataset="people", organisation="acme", created_by="ann",
            state=state, created_at=created_at, command_offset=1, partitions=2,
        )  # fmt: skip
        producer.produce(names["jobs"], encode(job), job_id.encode())
        producer.poll(0)

    # Between the states of a job that has ended lie more records than a consumer is given at once.
    state("ended", State.RUNNING, now - 30 * DAY_MS)
    for _ in range(2000):
        state("known", State.RUNNING, now - 1000)
    state("newer", State.RUNNING, now - 1000)
    state("ended", State.COMPLETED, now - 30 * DAY_MS)
    assert producer.flush(PATIENCE) == 0

    async def seen() -> list[Seen]:
        found: list[Seen] = []
        caught_up = asyncio.Event()
        follower = job_follower(own, asyncio.get_running_loop(), found.extend, caught_up.set)
        follower.start()
        async with asyncio.timeout(PATIENCE):
            await caught_up.wait()
        await asyncio.to_thread(follower.stop)
        return found

    found = asyncio.run(seen())
    assert {one.job_id for one in found if isinstance(one, JobSeen)} == {"known", "newer", "ended"}
    assert [(one.job_id, one.offset) for one in found if isinstance(one, EventSeen)] == [("known", 2), ("newer", 3)]
