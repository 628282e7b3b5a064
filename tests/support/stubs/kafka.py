"""A Kafka within this process, for clients without a group: librdkafka's mock broker. It answers aiokafka as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

from runtime.settings import Settings
from schemas.topics import TopicName, topic_name
from tests.support.waiting import PATIENCE

MOST_BYTES = 5 * 1024 * 1024
"""Of each partition the broker keeps so many bytes, and removes what is older."""


class MockKafka:
    """One broker. A topic is made when it is written to, and has four partitions."""

    def __init__(self) -> None:
        self._producer = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self._producer.list_topics(timeout=PATIENCE).brokers.values()
        self.settings = Settings(kafka_bootstrap=f"{broker.host}:{broker.port}")

    def write(self, topic: TopicName, values: Iterable[bytes], partition: int = 0) -> None:
        """Append records, each a batch of its own, and wait until the broker has them."""
        for value in values:
            self._producer.produce(topic_name(self.settings.prefix, topic), value, partition=partition)
            assert self._producer.flush(PATIENCE) == 0


@contextmanager
def mock_kafka() -> Iterator[MockKafka]:
    """A broker, until the end of the block."""
    broker = MockKafka()
    try:
        yield broker
    finally:
        del broker._producer
