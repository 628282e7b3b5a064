"""Follows a small compacted topic of one partition from its beginning, for a process that asks now and then."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from confluent_kafka import OFFSET_BEGINNING, Message, TopicPartition

from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from runtime.topics.assigned import AssignedConsumer
from runtime.topics.unreadable import log_unreadable
from schemas.messages.codec import UndecodableError
from schemas.topics import TopicName, topic_name

log = logging.getLogger(__name__)

_SILENT_SECONDS = 10.0
"""`TopicFollowing` waits this long for the next record."""
_BATCH = 500


class TopicFollowing:
    """Its calls block, and may come from any thread; `take` is called within them."""

    def __init__(self, settings: Settings, name: TopicName, take: Callable[[bytes | None, bytes | None], None]) -> None:
        """`take` takes in a record's key and value; of those that it refuses (UndecodableError) the log tells.

        It connects with the first call of `catch_up`.
        """
        self._settings = settings
        self._topic = topic_name(settings.prefix, name)
        self._take = take
        self._reading: AssignedConsumer | None = None
        self._lock = threading.Lock()

    def catch_up(self) -> None:
        """Take in every record up to the end that the topic has now.

        Raises:
            KafkaException: Kafka does not answer. Trying again later helps.
        """
        with self._lock:
            reading, place = self._connected(), TopicPartition(self._topic, 0)
            end = reading.end_of(self._topic)
            if reading.reached(self._topic, 0) >= end:
                return
            reading.consumer.resume([place])
            try:
                for records in reading.read_to([TopicPartition(self._topic, 0, end)], _BATCH, _SILENT_SECONDS):
                    for record in records:
                        self._met(record)
            finally:
                reading.consumer.pause([place])  # between two calls nothing is fetched

    def close(self) -> None:
        """Disconnect."""
        with self._lock:
            if self._reading is not None:
                self._reading.close()
                self._reading = None

    def _connected(self) -> AssignedConsumer:
        if self._reading is None:
            self._reading = AssignedConsumer(
                self._settings, "following", queued_max_messages_kbytes=2048, fetch_wait_max_ms=10
            )
            self._reading.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
            self._reading.consumer.pause([TopicPartition(self._topic, 0)])
        return self._reading

    def _met(self, record: Message) -> None:
        try:
            self._take(record.key(), record.value())
        except UndecodableError as problem:
            log_unreadable(log, self._topic, record.offset() or 0, problem, as_event("record.unreadable"))
