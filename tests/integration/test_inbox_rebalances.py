"""Members of the group that shares the inbox come and go: each record reaches the owner of its partition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from confluent_kafka import Producer

from csvfile.cutter import Limits
from ingest.inbox.intake import InboxContext
from ingest.inbox.transactions import InboxConsumer
from ingest.metrics import ReaderMetrics
from runtime.clients import librdkafka_config
from runtime.provision import provision_topics
from runtime.settings import Settings
from schemas.topics import topic_name
from tests.conftest import MakeSettings
from tests.support.processes.cluster import forget
from tests.support.waiting import PATIENCE, wait_until


@pytest.fixture
def made(settings: MakeSettings) -> Iterator[Settings]:
    found = settings()
    provision_topics(found)
    yield found
    forget(found)


class Member:
    """One member of the group, of which no partition has room for the records that have come."""

    def __init__(self, settings: Settings) -> None:
        def context(partitions: int) -> InboxContext:
            return InboxContext(lambda _: None, {}, Limits(500, 100_000), 30, partitions)

        self._consumer = InboxConsumer(settings, context, lambda: None, ReaderMetrics())
        self.close = self._consumer.close

    def owns(self) -> set[int]:
        """Take what comes, and stop fetching for the partitions of which a record has come; answers which it owns."""
        self._consumer.receive(100, 0.05)
        self._consumer.hold()
        return set(self._consumer.assigned)

    def records(self) -> dict[int, int]:
        """Partition -> how many records have come."""
        self.owns()
        return {number: partition.backlog for number, partition in self._consumer.assigned.items()}


def test_a_partition_without_room_that_comes_back_to_its_owner_is_read_on(made: Settings) -> None:
    producer = Producer(librdkafka_config(made))
    for partition in range(made.topic_partitions):
        producer.produce(topic_name(made.prefix, "inbox"), b"{}", partition=partition)
    assert producer.flush(PATIENCE) == 0
    each = dict.fromkeys(range(made.topic_partitions), 1)
    with ExitStack() as members:
        first = members.enter_context(closing(Member(made)))
        wait_until(lambda: first.records() == each, "the first member has a record of each partition, and no room")
        with closing(Member(made)) as second:
            moved = wait_until(lambda: first.owns() and second.owns(), "the second member has taken partitions over")
            wait_until(lambda: first.owns() == set(each) - moved, "the first member has given them up")
        wait_until(lambda: first.records() == each, "the partitions are back, and read from the committed offset on")
