"""Topics are read to their end: also where the last offsets hold no record, and while records come."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition

from runtime.clients import librdkafka_config
from runtime.provision import provision_topics
from runtime.settings import Settings
from runtime.topics.assigned import AssignedConsumer
from runtime.topics.following import TopicFollowing
from runtime.topics.reading import TopicReading
from schemas.topics import topic_name
from tests.conftest import MakeSettings
from tests.support.processes.cluster import forget
from tests.support.waiting import PATIENCE, wait_until


@pytest.fixture
def made(settings: MakeSettings) -> Iterator[Settings]:
    found = settings()
    provision_topics(found)
    wait_until(lambda: is_led(found), "the broker leads the new topic's partition")
    yield found
    forget(found)


def is_led(made: Settings) -> bool:
    try:
        return read(made, topic_name(made.prefix, "principals")) == []
    except KafkaException:  # which a process that reads meets by trying again
        return False


class Writer:
    """Writes to the topic of the keys, which has one partition, in transactions."""

    def __init__(self, made: Settings) -> None:
        self.topic = topic_name(made.prefix, "principals")
        self._producer = Producer(librdkafka_config(made, transactional_id=f"{made.prefix}-{uuid.uuid4().hex}"))
        self._producer.init_transactions(PATIENCE)

    def write(self, *names: str, commit: bool = True) -> None:
        self._producer.begin_transaction()
        for name in names:
            self._producer.produce(self.topic, name.encode(), name.encode())
        if commit:
            self._producer.commit_transaction(PATIENCE)
        else:
            self._producer.flush(PATIENCE)
            self._producer.abort_transaction(PATIENCE)


def read(made: Settings, topic: str) -> list[str]:
    return [(record.value() or b"").decode() for record in TopicReading(made, topic)]


def test_offsets_without_a_record_are_passed_over(made: Settings) -> None:
    writer, taken = Writer(made), list[str]()
    following = TopicFollowing(made, "principals", lambda _, value: taken.append((value or b"").decode()))

    def both(*names: str) -> bool:
        """Whether both ways to read give these; the end of a transaction comes a moment after its commit."""
        following.catch_up()
        return (read(made, writer.topic), taken) == (list(names), list(names))

    try:
        assert both()
        writer.write("a", "b")
        wait_until(lambda: both("a", "b"), "two records, with the end of a transaction behind them")
        writer.write("given up", commit=False)
        assert both("a", "b"), "only offsets without a record have come"
        writer.write("c")
        wait_until(lambda: both("a", "b", "c"), "another record")
        assert both("a", "b", "c"), "each record once"
    finally:
        following.close()


def test_records_behind_the_end_are_left_for_the_next_reading(made: Settings) -> None:
    writer = Writer(made)
    writer.write("a")
    wait_until(lambda: read(made, writer.topic) == ["a"], "the first record")
    reading = TopicReading(made, writer.topic)
    writer.write("b")
    assert [record.value() for record in reading] == [b"a"]
    wait_until(lambda: read(made, writer.topic) == ["a", "b"], "the second record")


def test_a_reading_says_where_nothing_comes(made: Settings) -> None:
    writer = Writer(made)
    writer.write("a")
    wait_until(lambda: read(made, writer.topic) == ["a"], "the first record")
    reading = AssignedConsumer(made, "reading")
    try:
        reading.assign([TopicPartition(writer.topic, 0, 0)])
        end = reading.end_of(writer.topic)
        with pytest.raises(KafkaException, match=f"{writer.topic} 0, to offset {end + 1}"):
            list(reading.read_to([TopicPartition(writer.topic, 0, end + 1)], most=10, silent_seconds=0.5))
    finally:
        reading.close()
