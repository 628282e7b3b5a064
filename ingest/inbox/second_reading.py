"""Reads records of the inbox a second time that partitions have passed over, beside the consumer of the group.

So other jobs' records, and new ones of these jobs, do not wait for them, however many they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import TopicPartition

from ingest.inbox.partition import InboxPartition
from ingest.inbox.waiting_rows import record_of
from runtime.settings import Settings
from runtime.topics.assigned import AssignedConsumer
from schemas.topics import topic_name

_AT_ONCE = 1000
"""Records that one call gives, at most."""
_PREFETCH_KBYTES = 4096


class SecondReading:
    """Reads for one partition at a time; it is connected while there is something to read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = topic_name(settings.prefix, "inbox")
        self._reading: AssignedConsumer | None = None
        self._number = -1
        self._partition: InboxPartition | None = None
        self._end = 0

    def go_on(self, assigned: Mapping[int, InboxPartition], now: float) -> None:
        """Give a partition, of those that are `assigned` by their numbers, some of the records that it has passed over.

        Raises:
            KafkaException: Kafka refuses them. The partitions are to be assigned anew, to be read from the committed
                offsets on.
        """
        if assigned.get(self._number) is not self._partition:
            self._partition = None  # it was revoked: its next owner reads these records
        partition = self._partition or self._begin(assigned)
        if partition is None or self._reading is None:
            self.close()
            return
        for message in self._reading.next(_AT_ONCE, 0):
            record = record_of(message)
            if record.offset < self._end:
                partition.come_again(record, now)
        if self._reading.reached(self._topic, self._number) >= self._end:
            partition.passed_over.ended()
            self._partition = None

    def close(self) -> None:
        """Disconnect."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _begin(self, assigned: Mapping[int, InboxPartition]) -> InboxPartition | None:
        for number, partition in assigned.items():
            offsets = partition.passed_over.begin()
            if offsets is None:
                continue
            first, self._end = offsets
            self._number, self._partition = number, partition
            self._reading = self._reading or AssignedConsumer(
                self._settings, "inbox", queued_max_messages_kbytes=_PREFETCH_KBYTES, fetch_queue_backoff_ms=5
            )
            self._reading.assign([TopicPartition(self._topic, number, first)])
            return partition
        return None
