"""Partitions that a topic has got while a process runs: its producers learn of them as soon as they are needed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

import ingest.publisher
import processor.stream.publisher
from csvfile.cutter import Limits
from ingest.blocks.files import Roots
from ingest.errors import PublishError
from ingest.plan_run import PlanRun
from ingest.publisher import BlockPublisher
from ingest.sources import SourceContext
from processor.stream.publisher import RecordPublisher
from runtime.settings import Settings
from schemas.job import Input
from schemas.messages.plans import UndoRows

UNDO = UndoRows(job_id="j", epoch=2, command_offset=10, partitions=4, last_row=10_000, run=1)
AROUND = SourceContext({}, Roots(Path("/nowhere")), Limits(500, 4096))


class Librdkafka:
    """A producer that takes records of the partitions that it has been told of, as librdkafka does."""

    def __init__(self, _config: dict[str, Any]) -> None:
        self.there = self.known = 2
        self.asked = 0
        self.produced: list[int] = []
        self.error: KafkaException | None = None

    def list_topics(self, topic: str, timeout: float) -> Any:
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.known = self.there
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions=dict.fromkeys(range(self.there)))})

    def produce(self, topic: str, partition: int, **_record: Any) -> None:
        if partition >= self.known:
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
        self.produced.append(partition)

    def flush(self, _seconds: float) -> int:
        return 0


@pytest.fixture
def outlet(monkeypatch: pytest.MonkeyPatch) -> BlockPublisher:
    monkeypatch.setattr(ingest.publisher, "Producer", Librdkafka)
    return BlockPublisher(Settings())


def producer_of(outlet: BlockPublisher) -> Librdkafka:
    producer: Any = outlet._producer
    assert isinstance(producer, Librdkafka)
    return producer


def test_a_job_for_new_partitions_is_read_by_a_reader_that_has_run_all_along(outlet: BlockPublisher) -> None:
    producer = producer_of(outlet)
    assert [outlet.has_partition(number) for number in (0, 1, 0)] == [True] * 3
    assert producer.asked == 1, "Kafka is not asked for each block"
    producer.there = 4
    work = PlanRun(UNDO, Input(), AROUND, outlet, 0.0)
    for _ in range(4):
        work.step()
    assert (producer.produced, work.at_end, producer.asked) == ([0, 1, 2, 3], False, 2)


def test_a_partition_that_is_not_there_is_asked_for_each_time(outlet: BlockPublisher) -> None:
    assert not outlet.has_partition(2) and not outlet.has_partition(2)
    assert producer_of(outlet).asked == 2


def test_a_kafka_that_does_not_answer_ends_the_process_and_fails_no_job(outlet: BlockPublisher) -> None:
    producer_of(outlet).error = KafkaException(KafkaError(KafkaError._TIMED_OUT))
    with pytest.raises(PublishError, match="does not tell the partitions"):
        PlanRun(UNDO, Input(), AROUND, outlet, 0.0).step()


class Aiokafka:
    """A producer that asserts that it knows a partition, as aiokafka's does."""

    def __init__(self, **_config: Any) -> None:
        self.there, self.known, self.asked = 2, {0, 1}, 0
        self.sent: list[int | None] = []
        self.client = SimpleNamespace(
            cluster=SimpleNamespace(partitions_for_topic=lambda _topic: self.known),
            force_metadata_update=self.look,
        )

    async def look(self) -> None:
        self.asked += 1
        self.known = set(range(self.there))

    async def send(self, topic: str, *, key: bytes, value: bytes, partition: int | None, headers: Any) -> Any:
        assert partition is None or partition in self.known, "Unrecognized partition"
        self.sent.append(partition)
        return asyncio.get_running_loop().create_task(asyncio.sleep(0))


def test_a_worker_writes_to_a_partition_that_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor.stream.publisher, "AIOKafkaProducer", Aiokafka)

    async def write() -> Aiokafka:
        publisher = RecordPublisher(Settings())
        producer: Any = publisher._producer
        producer.there = 4
        await publisher.publish_all([("lanes", b"k", b"v", partition) for partition in (0, 3, None, 2)])
        assert isinstance(producer, Aiokafka)
        return producer

    producer = asyncio.run(write())
    assert (producer.sent, producer.asked) == ([0, 3, None, 2], 1)
