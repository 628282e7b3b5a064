"""Follows topics from their beginning, in a thread, and hands over what their records say."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from runtime.clients import KAFKA_ANSWER_SECONDS
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from runtime.topics.assigned import AssignedConsumer, extent_of
from schemas.topics import TopicName, topic_name

log = logging.getLogger(__name__)

T = TypeVar("T")
Decode = Callable[[str, bytes | None, bytes | None, int, int, int], T | None]
"""What a record says, from its topic, key, value, offset, timestamp and partition; None: nothing of use. It raises
nothing."""

_BATCH = 500
_RETRY_SECONDS = 1.0
_FETCH_WAIT_MS = 3000
"""Kafka answers a fetch as soon as there is a record, and an empty one after this long. That tells of the end of a
topic: until all have been read to their ends Kafka is to answer sooner."""
_LAST = 1000
"""Records that are read before the end of a `Later` topic, if no more are needed: those of jobs made just now."""
MARGIN_MS = 3600 * 1000
"""The clocks of the processes that write records may differ by this much."""


def small_consumer(settings: Settings, **more: Any) -> AssignedConsumer:
    """A consumer whose buffers are small: the API has little memory. `more`: settings of librdkafka."""
    return AssignedConsumer(
        settings,
        "api",
        queued_min_messages=1000,
        queued_max_messages_kbytes=2048,
        # With the default of a second small buffers would limit it to a thousand records a second.
        fetch_queue_backoff_ms=5,
        **more,
    )


@dataclass(frozen=True)
class Later(Generic[T]):
    """A topic that is read once the others are at their end: from the earliest time on that their records need, or
    near its end if none needs any."""

    topic: TopicName
    needed_since: Callable[[T], tuple[str, int | None] | None]
    """The job that a record is about, and the time from which on the job's records in this topic are needed, None for
    none of them; of several records of a job the newest counts. None: the record says nothing about it."""


@dataclass(frozen=True, eq=False)
class Followed(Generic[T]):
    """Topics whose records say something of one kind, and what takes it in."""

    topics: Sequence[TopicName]
    decoder: Callable[[], Decode[T]]
    """Called anew each time that the topics are read from their beginning."""
    deliver: Callable[[list[T]], None]
    """Called in the event loop."""
    caught_up: Callable[[], None] = lambda: None
    """Called in the event loop, once, when every topic has been read to its end."""
    newest: int | None = None
    """Only so many records before the end of each partition are read; None: all."""
    compacted: Sequence[TopicName] = ()
    """Of these only the newest record of a key is decoded where many are read at once, at the start."""


class Follower:
    """The thread, and one consumer for all that it follows."""

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        followed: Sequence[Followed[Any]],
        later: Later[Any] | None = None,
    ) -> None:
        """`later` is one of the topics."""
        self._settings = settings
        self._loop = loop
        self._later = later
        self._by_topic = {topic_name(settings.prefix, name): kind for kind in followed for name in kind.topics}
        self._compacted = {topic_name(settings.prefix, name) for kind in followed for name in kind.compacted}
        self._to_catch_up = [*followed]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follower of {followed[0].topics[0]}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; blocks for up to two seconds."""
        self._stopping.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.ExitStack() as consumers:
                try:
                    self._follow(consumers)
                except Exception as error:
                    # Reading again from the beginning is idempotent.
                    log.warning("following the topics failed, trying again: %s", error, extra=as_event("kafka.trouble"))
                    self._stopping.wait(_RETRY_SECONDS)

    def _opened(self, consumers: contextlib.ExitStack, **more: Any) -> AssignedConsumer:
        """A consumer that `consumers` closes. `more`: settings of librdkafka."""
        reading = small_consumer(self._settings, **more)
        consumers.callback(reading.close)
        return reading

    def _follow(self, consumers: contextlib.ExitStack) -> None:
        """Follow the topics with one consumer at a time, which is in `consumers`, until told to stop."""
        reading, patient = self._opened(consumers), self._later is not None
        wanted = self._partitions(reading.consumer)
        held = topic_name(self._settings.prefix, self._later.topic) if self._later else None
        later = [place for place in wanted if place.topic == held]
        first = [place for place in wanted if place.topic != held]
        reading.assign(first)
        behind = {(partition.topic, partition.partition) for partition in wanted}
        decoders = {kind: kind.decoder() for kind in self._by_topic.values()}
        needed = _Needed()
        while not self._stopping.is_set():
            records = reading.next(_BATCH, 1.0)
            behind -= reading.ended
            batches: dict[Followed[Any], list[Any]] = {}
            for record in self._newest_of(records) if behind else records:
                kind = self._by_topic[record.topic() or ""]
                place = record.topic() or "", record.key(), record.value(), record.offset() or 0
                seen = decoders[kind](*place, _at(record), record.partition() or 0)
                if seen is not None:
                    batches.setdefault(kind, []).append(seen)
                    if later and self._later is not None:
                        needed.note(self._later.needed_since(seen))
            for kind, batch in batches.items():
                hand_over(self._loop, kind.deliver, batch, self._stopping)
            if later and all(topic == held for topic, _ in behind):
                for place in first:
                    place.offset = reading.reached(place.topic, place.partition)
                reading.assign([*first, *needed.places(reading.consumer, later)])
                later = []
            self._tell_who_has_caught_up({topic for topic, _ in behind})
            if not (behind or patient):
                for place in wanted:
                    place.offset = reading.reached(place.topic, place.partition)
                consumers.close()
                reading, patient = self._opened(consumers, fetch_wait_max_ms=_FETCH_WAIT_MS), True
                reading.assign(wanted)

    def _tell_who_has_caught_up(self, behind: set[str]) -> None:
        """`behind`: the topics that have not been read to their end."""
        waiting = {self._by_topic[topic] for topic in behind}
        for kind in self._to_catch_up:
            if kind not in waiting:
                self._loop.call_soon_threadsafe(kind.caught_up)
        self._to_catch_up = [kind for kind in self._to_catch_up if kind in waiting]

    def _newest_of(self, records: list[Any]) -> list[Any]:
        """The records without those of compacted topics that a later one replaces."""
        keys = [(record.topic(), record.key()) for record in records]
        newest = {key: place for place, key in enumerate(keys)}
        return [
            record
            for place, (record, key) in enumerate(zip(records, keys, strict=True))
            if newest[key] == place or key[0] not in self._compacted
        ]

    def _partitions(self, consumer: Consumer) -> list[TopicPartition]:
        """Every partition to follow, as soon as all topics exist."""
        names = list(self._by_topic)
        topics = consumer.list_topics(timeout=5).topics
        missing = [name for name in names if name not in topics or not topics[name].partitions]
        if missing:
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_TOPIC, f"no topic {', '.join(missing)} yet"))
        return [
            TopicPartition(name, number, self._start(consumer, name, number))
            for name in names
            for number in topics[name].partitions
        ]

    def _start(self, consumer: Consumer, topic: str, partition: int) -> int:
        newest = self._by_topic[topic].newest
        if newest is None:
            return int(OFFSET_BEGINNING)
        first, end = extent_of(consumer, TopicPartition(topic, partition))
        return max(first, end - newest)


def hand_over(
    loop: asyncio.AbstractEventLoop, deliver: Callable[[list[T]], None], batch: list[T], stopping: threading.Event
) -> None:
    """Give a batch to the event loop, and wait until it is folded in: else a long topic would pile up in memory."""
    folded = threading.Event()

    def take() -> None:
        try:
            deliver(batch)
        finally:
            folded.set()

    loop.call_soon_threadsafe(take)
    while not folded.wait(timeout=1) and not stopping.is_set():
        pass


class _Needed:
    """From where on a `Later` topic is needed."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}

    def note(self, need: tuple[str, int | None] | None) -> None:
        """Take in what a record says, see `Later.needed_since`."""
        match need:
            case (name, None):
                self._since.pop(name, None)
            case (name, since):
                self._since[name] = since

    def places(self, consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Where to begin on each partition."""
        # Look up the ends first: if no record is of that time, records that come meanwhile are not missed.
        found = {place.partition: extent_of(consumer, place) for place in partitions}
        starts = {number: max(first, end - _LAST) for number, (first, end) in found.items()}
        if self._since:
            at = max(0, min(self._since.values()) - MARGIN_MS)
            asked = [TopicPartition(place.topic, place.partition, at) for place in partitions]
            for timed in consumer.offsets_for_times(asked, timeout=KAFKA_ANSWER_SECONDS):
                starts[timed.partition] = timed.offset if timed.offset >= 0 else found[timed.partition][1]
        return [TopicPartition(place.topic, place.partition, starts[place.partition]) for place in partitions]


def _at(message: Any) -> int:
    return int(message.timestamp()[1])
