"""Records of any form on any topic: the jobs of others complete, no process ends, and a restart meets them all anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import Producer
from hypothesis import strategies as st

from runtime.clients import librdkafka_config
from runtime.topics.headers import headers_of
from schemas.jsonschema import MESSAGES
from schemas.messages.commands import PauseJob
from schemas.messages.lanes import lane_key, owner_key
from schemas.topics import TopicName, topic_name, topics
from tests.conftest import MakeCluster, People
from tests.faults.evidence import assert_loaded
from tests.support.processes.cluster import Cluster
from tests.support.processes.odd_headers import send_odd_headers
from tests.support.processes.upstream import Sender, end, rows_of, topic_job
from tests.support.strategies import fuzzing
from tests.support.waiting import PATIENCE
from verify.topic_records import messages as records_of

ROWS = 300
BATCHES = 40
RECORDS = 25
"""In a batch, at most."""
COMPACTED = tuple(
    topic.name.removeprefix(".") for topic in topics("", 1) if topic.config.get("cleanup.policy") == "compact"
)
LEFT_OUT = ("principals", "security-events", "webhooks", "webhook-deliveries")
"""Only the API reads and writes them: it leaves out what it can't read, and its log says so."""
TOPICS: tuple[TopicName, ...] = tuple(MESSAGES)
EXPECTED = (
    "this record is a dead letter now", "this record is left out", "can't go on", "this is no plan", "is left out",
    "this lane can't be restored", "reports are lost", "can't be read",
)  # fmt: skip
"""What processes may log as errors: that they have met something odd. A traceback is never one of them."""

KEYS = st.sampled_from(
    (
        *(None, b"", b"\xff\xff", b"?", b"k" * 5000, *(name.encode() for name in fuzzing.IDS)),
        *(owner_key(0), lane_key("fuzz-a", 0, "apply"), lane_key("fuzz-b", 1, "undo"), b"fuzz-c/99999999999"),
    )
)


@st.composite
def one_record(draw: st.DrawFn) -> tuple[TopicName, bytes | None, bytes | None]:
    """A topic, a key and a value."""
    topic = draw(st.sampled_from(TOPICS))
    garbage = st.sampled_from([*fuzzing.GARBAGE, None]) | st.binary(max_size=20)
    value = draw(fuzzing.messages(MESSAGES[topic][0]) | garbage)
    key = draw(KEYS)
    return topic, key or b"?" if topic in COMPACTED else key, value  # a compacted topic takes none without a key


@dataclass
class Stranger:
    """Someone who may write to every topic, and does."""

    cluster: Cluster
    garbage: set[tuple[str, int, int]] = field(default_factory=set)
    """Places of records that are no message: each has to become a dead letter."""

    def __post_init__(self) -> None:
        self._producer = Producer(librdkafka_config(self.cluster.settings, message_max_bytes=4_000_000))

    def send(self, batch: Iterable[tuple[TopicName, bytes | None, bytes | None]]) -> None:
        for topic, key, value in batch:
            self._produce(topic, key, value)
        assert self._producer.flush(PATIENCE) == 0

    def send_garbage(self, mark: str) -> None:
        """Every kind of garbage to every topic, under keys of its own, so that no compaction hides one."""
        for topic in TOPICS:
            if topic == "dead-letters":
                continue  # read by `rebuild` alone
            places = None if topic in LEFT_OUT else self.garbage
            for number, value in enumerate(fuzzing.GARBAGE):
                key = f"{mark}-{number}/0" if topic == "lanes" else f"{mark}-{number}"
                self._produce(topic, key.encode(), value, places)
            if topic not in COMPACTED:
                self._produce(topic, None, None, places)
        assert self._producer.flush(PATIENCE) == 0

    def send_odd_headers(self) -> None:
        """To every topic, a record with a header whose name is no UTF-8, as only other languages' clients write it."""
        names = [topic_name(self.cluster.settings.prefix, topic) for topic in TOPICS]
        send_odd_headers(self.cluster.settings, names)

    def _produce(
        self, topic: TopicName, key: bytes | None, value: bytes | None, places: set[Any] | None = None
    ) -> None:
        def delivered(error: Any, record: Any) -> None:
            assert error is None, error
            if places is not None:
                places.add((record.topic(), record.partition(), record.offset()))

        name = topic_name(self.cluster.settings.prefix, topic)
        self._producer.produce(name, value, key, on_delivery=delivered)
        self._producer.poll(0)


def dead_places(cluster: Cluster) -> set[tuple[str, int, int]]:
    """The places that dead letters name, each with a reason."""
    found = set()
    for record in records_of(cluster.settings, "dead-letters"):
        headers = {name: text.decode() for name, text in headers_of(record) if text is not None}
        if "topic" in headers:
            assert headers["reason"]
            found.add((headers["topic"], int(headers["partition"]), int(headers["offset"])))
    return found


def assert_others_are_served(cluster: Cluster, people: People, victim: str) -> None:
    """An upload and a job whose rows come by the inbox complete, and the list of jobs can be read."""
    file = people(ROWS)
    uploaded, produced = cluster.upload(file, victim), topic_job(cluster, f"{victim}-inbox")
    sender = Sender(cluster.settings)
    sender.rows(produced, rows_of(file))
    end(cluster, produced, ROWS)
    for job_id in (uploaded, produced):
        cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, uploaded, file)
    assert_loaded(cluster, produced, file)
    jobs = cluster.call("GET", "/v1/jobs", params={"organisation": victim})["jobs"]
    assert uploaded in [job["id"] for job in jobs]
    for path in ("/v1/jobs?limit=1000", "/v1/stats", "/metrics", "/v1/jobs/fuzz-a/history"):
        assert cluster.request("GET", path).status_code in (200, 404), path


def restart(cluster: Cluster) -> None:
    """Every process ends and begins anew: it meets what the topics hold."""
    cluster.api.kill()
    for process in [*cluster.living("ingest"), *cluster.living("worker")]:
        process.stop()
    cluster.wait_ready(*[cluster.launch(role) for role in ("api", "ingest", "worker", "worker")])


@pytest.mark.fuzz
def test_whatever_is_on_the_topics_the_jobs_of_others_complete(
    make_cluster: MakeCluster, people: People, organisation: str, fuzz_minutes: float | None
) -> None:
    cluster = make_cluster(workers=2)
    cluster.expect(*EXPECTED)
    stranger = Stranger(cluster)
    stranger.send_garbage("early")
    stranger.send_odd_headers()
    stranger.send([("commands", b"fuzz-a", fuzzing.deep(PauseJob(job_id="fuzz-a")))])
    round_number = 0

    def check(batches: Any) -> None:
        nonlocal round_number
        round_number += 1
        for batch in batches:
            stranger.send(batch)
        assert_others_are_served(cluster, people, f"{organisation[:40]}-{round_number}")

    batches = st.lists(st.lists(one_record(), min_size=1, max_size=RECORDS), min_size=BATCHES, max_size=BATCHES)
    fuzzing.run(check, batches, examples=2, minutes=fuzz_minutes)
    stranger.send_garbage("late")
    assert_others_are_served(cluster, people, f"{organisation[:40]}-late")
    restart(cluster)
    assert_others_are_served(cluster, people, f"{organisation[:40]}-restarted")
    cluster.wait(
        lambda: not (missing := stranger.garbage - dead_places(cluster)) or print(sorted(missing)[:5]),
        "every record that is no message is a dead letter",
    )
    assert len(cluster.living("worker")) == 2
