"""Reads a job's audit trail from the topic ``job-events``, by the offsets that the view has kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from api.errors import KafkaUnavailableError
from api.readmodel.follower import groupless_consumer
from control.newer_states import read_history
from runtime.settings import Settings
from schemas.messages.codec import UndecodableError
from schemas.messages.events import History
from schemas.topics import topic_name

_FETCH_SECONDS = 10.0
_NEAR = 200
"""The consumer reads on, rather than seeks, if at most this many records lie between two wanted ones."""


class HistoryReader:
    """One consumer, used by one request at a time; its calls block."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = topic_name(settings.prefix, "job-events")
        self._consumer: Consumer | None = None
        self._lock = threading.Lock()

    def read(self, offsets: Sequence[int]) -> list[History]:
        """The records at these offsets (in rising order); one that retention has removed is left out.

        Raises:
            KafkaUnavailableError: Kafka did not answer in time.
        """
        with self._lock:
            if self._consumer is None:
                self._consumer = groupless_consumer(
                    self._settings, enable_partition_eof=True, fetch_message_max_bytes=262144
                )
            try:
                return self._read(self._consumer, offsets)
            finally:
                self._consumer.unassign()

    def _read(self, consumer: Consumer, offsets: Sequence[int]) -> list[History]:
        found: list[History] = []
        wanted = set(offsets)
        deadline = time.monotonic() + _FETCH_SECONDS
        for start, end in ranges(offsets):
            consumer.assign([TopicPartition(self._topic, 0, start)])
            reached = start - 1
            while reached < end:
                message = consumer.poll(max(0.0, deadline - time.monotonic()))
                if message is None:
                    raise KafkaUnavailableError("Kafka did not answer in time")
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        break
                    if error.fatal():
                        raise KafkaException(error)
                    continue
                reached = message.offset()
                if reached in wanted:
                    record = _decoded(message.value())
                    found += [record] if record is not None else []
        return found

    def close(self) -> None:
        """Close the consumer."""
        with self._lock:
            if self._consumer is not None:
                self._consumer.close()
                self._consumer = None


def ranges(offsets: Iterable[int]) -> list[tuple[int, int]]:
    """Ranges (first, last) that cover all these offsets (in rising order); near offsets share a range."""
    stretches: list[tuple[int, int]] = []
    for offset in offsets:
        if stretches and offset - stretches[-1][1] <= _NEAR:
            stretches[-1] = (stretches[-1][0], offset)
        else:
            stretches.append((offset, offset))
    return stretches


def _decoded(value: bytes | None) -> History | None:
    try:
        record: History = read_history(value)
    except UndecodableError:
        return None
    return record
