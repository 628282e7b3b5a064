"""Follows a small compacted topic of one partition from its beginning, for a process that asks now and then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from runtime.clients import KAFKA_ANSWER_SECONDS, librdkafka_config
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
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
        self._consumer: Any = None
        self._position = 0
        self._lock = threading.Lock()

    def catch_up(self) -> None:
        """Take in every record up to the end that the topic has now.

        Raises:
            KafkaException: Kafka does not answer. Trying again later helps.
        """
        with self._lock:
            consumer = self._connected()
            place = TopicPartition(self._topic, 0)
            _, end = consumer.get_watermark_offsets(place, timeout=KAFKA_ANSWER_SECONDS)
            if self._position >= end:
                return
            consumer.resume([place])
            try:
                self._read_to(end, consumer, place)
            finally:
                consumer.pause([place])  # between two calls nothing is fetched

    def _read_to(self, end: int, consumer: Any, place: TopicPartition) -> None:
        deadline = time.monotonic() + _SILENT_SECONDS
        while self._position < end:
            records = consumer.consume(_BATCH, 0.1)
            for record in records:
                self._met(record)
            reached = consumer.position([place])[0].offset
            self._position = max(self._position, reached)
            if records:
                deadline = time.monotonic() + _SILENT_SECONDS
            elif time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{self._topic} can't be read to its end"))

    def close(self) -> None:
        """Disconnect."""
        with self._lock:
            if self._consumer is not None:
                self._consumer.close()
                self._consumer = None

    def _connected(self) -> Any:
        if self._consumer is None:
            config = librdkafka_config(
                self._settings,
                group_id=f"{self._settings.prefix}-following",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                enable_partition_eof=True,
                queued_max_messages_kbytes=2048,
                fetch_wait_max_ms=10,
            )
            self._consumer = Consumer({**config, "log_level": 2})
            self._consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
            self._consumer.pause([TopicPartition(self._topic, 0)])
        return self._consumer

    def _met(self, record: Any) -> None:
        error = record.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                log.warning("%s: %s", self._topic, error, extra=as_event("kafka.trouble"))
            return
        try:
            self._take(record.key(), record.value())
        except UndecodableError as problem:
            log_unreadable(log, self._topic, record.offset(), problem, as_event("record.unreadable"))
