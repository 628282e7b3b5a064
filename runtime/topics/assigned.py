"""Reads the partitions that its caller names, without a group: the one loop of everything that reads to an end.

librdkafka reports the end of a partition when nothing more can be fetched. That end may lie behind the last record,
since the last offsets may hold none: they are the ends of transactions, or records that compaction has removed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.clients import KAFKA_ANSWER_SECONDS, librdkafka_config
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event

log = logging.getLogger(__name__)

Place = tuple[str, int]
"""A topic's full name and a partition."""

_LASTING: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
"""Errors that do not pass by themselves while the consumer waits."""
_LOOK_SECONDS: Final = 0.1


class AssignedConsumer:
    """A consumer of partitions that its caller assigns; it commits no offsets. For one thread at a time."""

    def __init__(
        self, settings: Settings, group: str, on_error: Callable[[KafkaError], None] | None = None, **more: Any
    ) -> None:
        """`group`: behind the prefix, the group for which Kafka checks rights. `on_error`: is told of errors that
        belong to no partition. `more`: settings of librdkafka, with underscores."""
        config = librdkafka_config(
            settings,
            **{
                "group_id": f"{settings.prefix}-{group}",
                "enable_auto_commit": False,
                "enable_auto_offset_store": False,
                "auto_offset_reset": "earliest",
                "enable_partition_eof": True,
                **more,
            },
        )
        self.consumer = Consumer({**config, "error_cb": on_error} if on_error is not None else config)
        self.ended: set[Place] = set()
        """Partitions whose end has been met since they were assigned."""
        self._reached: dict[Place, int] = {}
        self._error: KafkaError | None = None

    def assign(self, places: Sequence[TopicPartition]) -> None:
        """Read these partitions from now on, each from its offset."""
        self.ended, self._reached, self._error = set(), {}, None
        self.consumer.assign(list(places))

    def reached(self, topic: str, partition: int) -> int:
        """The offset that is read next, as far as a record or the end has told; else OFFSET_BEGINNING."""
        return int(self._reached.get((topic, partition), OFFSET_BEGINNING))

    def next(self, most: int, seconds: float) -> list[Message]:
        """The records that have come, at most so many; waits up to `seconds` for the first one.

        Errors that pass by themselves are logged.

        Raises:
            KafkaException: Kafka has told of a lasting error, behind the records of the call before.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise KafkaException(error)
        # `consume` alone would wait for all of them, and one message at a time takes three times as long.
        first = self.consumer.poll(seconds)
        messages = [] if first is None else [first, *self.consumer.consume(most - 1, 0)]
        records = []
        for message in messages:
            problem = message.error()
            if problem is None:
                records.append(message)
                self._reached[_place(message)] = (message.offset() or 0) + 1
            elif problem.code() == KafkaError._PARTITION_EOF:
                place = _place(message)
                self._reached[place] = max(self._reached.get(place, 0), message.offset() or 0)
                self.ended.add(place)
            elif problem.code() in _LASTING or problem.fatal():
                self._error = problem
            else:
                log.warning("Kafka: %s", problem, extra=as_event("kafka.trouble"))
        return records

    def read_to(
        self,
        ends: Collection[TopicPartition],
        most: int,
        silent_seconds: float,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Iterator[list[Message]]:
        """Read each partition up to its offset in `ends`, or until it is to stop; some records may lie behind.

        Raises:
            KafkaException: as `next`; or nothing has come for so many seconds.
        """
        left = {(end.topic, end.partition): end.offset for end in ends}
        came_at = time.monotonic()
        while True:
            left = {place: end for place, end in left.items() if self.reached(*place) < end}
            if not left or stopping():
                return
            records = self.next(most, _LOOK_SECONDS)
            if records:
                yield records
                came_at = time.monotonic()  # without the time that the caller took
            elif time.monotonic() - came_at > silent_seconds:
                where = ", ".join(f"{topic} {partition}, to offset {end}" for (topic, partition), end in left.items())
                reason = f"no record has come for {silent_seconds:.0f} s; not read to the end: {where}"
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, reason))

    def end_of(self, topic: str, partition: int = 0) -> int:
        """The offset behind the partition's last record. Raises KafkaException: Kafka does not answer."""
        return extent_of(self.consumer, TopicPartition(topic, partition))[1]

    def close(self) -> None:
        """Disconnect."""
        self.consumer.close()


def extent_of(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """The first offset of a partition, and the one behind its last record.

    Raises:
        KafkaException: Kafka does not answer, or has no such partition. Trying again later helps.
    """
    first, end = consumer.get_watermark_offsets(place, timeout=KAFKA_ANSWER_SECONDS)
    return int(first), int(end)


def _place(message: Message) -> Place:
    return message.topic() or "", message.partition() or 0
