"""Reads a job's audit trail from the topic ``job-events``, by the offsets that the view has kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

from confluent_kafka import TopicPartition

from api.errors import KafkaUnavailableError
from api.readmodel.following.follower import small_consumer
from control.newer_states import read_history
from runtime.settings import Settings
from runtime.topics.assigned import AssignedConsumer
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
        self._reading: AssignedConsumer | None = None
        self._lock = threading.Lock()

    def read(self, offsets: Sequence[int]) -> list[History]:
        """The records at these offsets (in rising order); one that retention has removed is left out.

        Raises:
            KafkaUnavailableError: Kafka did not answer in time.
        """
        with self._lock:
            if self._reading is None:
                self._reading = small_consumer(self._settings, fetch_message_max_bytes=262144)
            try:
                return self._read(self._reading, offsets)
            finally:
                self._reading.assign([])

    def _read(self, reading: AssignedConsumer, offsets: Sequence[int]) -> list[History]:
        found: list[History] = []
        wanted = set(offsets)
        deadline = time.monotonic() + _FETCH_SECONDS
        for start, end in ranges(offsets):
            reading.assign([TopicPartition(self._topic, 0, start)])
            while reading.reached(self._topic, 0) <= end and not reading.ended:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise KafkaUnavailableError("Kafka did not answer in time")
                for message in reading.next(min(_NEAR, end - start + 1), left):
                    if message.offset() in wanted:
                        record = _decoded(message.value())
                        found += [record] if record is not None else []
        return found

    def close(self) -> None:
        """Close the consumer."""
        with self._lock:
            if self._reading is not None:
                self._reading.close()
                self._reading = None


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
