"""Has one API process at a time deliver webhooks: the one that the consumer group gives the topic ``job-events``.

The steps, and what a crash after each leaves: (1) events are read; they come again. (2) Their deliveries are recorded
as pending; the events come again, and what is recorded already is known by its key. (3) The offset is committed. (4) A
delivery is sent; it is sent again with the same id, since (5) that it was taken is recorded last.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from api.webhooks.delivering import Deliverer
from api.webhooks.intake import EventRecord, Intake
from runtime.clients import KAFKA_ANSWER_SECONDS, librdkafka_config
from runtime.clock import now_ms
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from runtime.topics.assigned import extent_of
from runtime.topics.callbacks import GroupCallbacks
from schemas.topics import DAY_MS, TopicName, topic_name

log = logging.getLogger(__name__)

T = TypeVar("T")

_BATCH: Final = 200
_POLL_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 2.0
_CALL_SECONDS: Final = 60.0
_GROUP_CHANGES: Final = frozenset({KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION})
_HELD: Final = 0.8
"""A process that stood still for this share of the session's time-out may have been removed from the group."""
_LOST_OFFSETS_DAYS: Final = 7
"""Without a committed offset the process reads the events of these days: it knows which deliveries are recorded."""


class Ownership:
    """The thread that is the member of the group. Deliveries run in the event loop, while it owns the topic."""

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        intake: Intake,
        deliverer: Callable[[Callable[[], bool], Callable[[], int]], Deliverer],
    ) -> None:
        """`deliverer` makes what delivers: it is given whether it still may, and the offset up to which events will
        not be read again."""
        self._settings = settings
        self._loop = loop
        self._intake = intake
        self._make_deliverer = deliverer
        self._stopping = threading.Event()
        self._polled_at = 0.0
        self._uncommitted: TopicPartition | None = None
        self._committed = 0
        self._delivering: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    @property
    def owner(self) -> bool:
        """Whether this process delivers."""
        return self._delivering is not None and self._holds()

    def start(self) -> None:
        """Become a member of the group."""
        self._thread.start()

    def stop(self) -> None:
        """Leave the group; blocks for up to four seconds."""
        self._stopping.set()
        self._thread.join(timeout=4)

    def _holds(self) -> bool:
        """Whether the process has been a living member lately, so that no other one can have taken over."""
        return time.monotonic() - self._polled_at < self._settings.session_timeout_seconds * _HELD

    def _run(self) -> None:
        while not self._stopping.is_set():
            consumer: Any = None
            try:
                consumer = self._member()
                self._work(consumer)
            except Exception as error:
                if not self._stopping.is_set():
                    text = "webhooks are not delivered for a moment: %s"
                    log.warning(text, error or type(error).__name__, extra=as_event("webhooks.trouble"))
            finally:
                self._end_deliveries()
                if consumer is not None:
                    consumer.close()
            self._stopping.wait(_RETRY_SECONDS)

    def _member(self) -> Any:
        session_ms = int(self._settings.session_timeout_seconds * 1000)
        config = librdkafka_config(
            self._settings,
            group_id=f"{self._settings.prefix}-webhooks",
            # The owner keeps the topic when another process joins or leaves.
            partition_assignment_strategy="cooperative-sticky",
            enable_auto_commit=False,
            enable_auto_offset_store=False,
            auto_offset_reset="earliest",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(100, session_ms // 5),
            queued_min_messages=1000,
            queued_max_messages_kbytes=2048,
            fetch_queue_backoff_ms=5,
        )
        return Consumer(config)

    def _work(self, consumer: Any) -> None:
        self._uncommitted = None
        self._polled_at = time.monotonic()
        wanted = topic_name(self._settings.prefix, "job-events")
        callbacks = GroupCallbacks()
        assigned, revoked = callbacks.kept(self._assigned), callbacks.kept(self._revoked)
        consumer.subscribe([wanted], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
        while not self._stopping.is_set():
            messages = consumer.consume(_BATCH, _POLL_SECONDS)
            callbacks.require()
            self._stood_still()
            if self._delivering is not None and self._delivering.done():
                raise RuntimeError("the deliveries have ended")
            records, place = [], None
            for message in messages:
                error = message.error()
                if error is None:
                    records.append(EventRecord(message.offset(), message.value()))
                    place = TopicPartition(message.topic(), message.partition(), message.offset() + 1)
                elif error.fatal() or error.code() == KafkaError._MAX_POLL_EXCEEDED:
                    raise KafkaException(error)
            if place is not None:
                self._call(self._intake.take(records, self._end(consumer, "webhooks")))
                self._stood_still()
                self._uncommitted = place
            self._commit(consumer)

    def _commit(self, consumer: Any) -> None:
        """Commit what is done. While the group changes this is put off: the member may well keep the topic."""
        place = self._uncommitted
        if place is None:
            return
        try:
            consumer.commit(offsets=[place], asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() not in _GROUP_CHANGES:
                raise
            return
        self._uncommitted = None
        if place.partition == 0:
            self._committed = place.offset

    def _stood_still(self) -> None:
        """Raises TimeoutError: the process may have lost the topic without knowing it. It becomes a member anew."""
        held = self._holds()
        self._polled_at = time.monotonic()
        if not held:
            raise TimeoutError("the process stood still, or Kafka was slow, for the time of a session")

    def _assigned(self, consumer: Any, places: list[TopicPartition]) -> None:
        if not places:
            return
        ends = self._end(consumer, "webhooks"), self._end(consumer, "webhook-deliveries")
        self._call(self._intake.ready(*ends))
        starts = [self._start(consumer, place) for place in consumer.committed(places, timeout=KAFKA_ANSWER_SECONDS)]
        consumer.incremental_assign(starts)
        self._polled_at = time.monotonic()
        if not _decides(places):
            return
        self._committed = next(place.offset for place in starts if place.partition == 0)
        self._call(self._begin_deliveries())
        log.info("this process delivers webhooks", extra=as_event("webhooks.owned", owned=True))

    def _start(self, consumer: Any, committed: TopicPartition) -> TopicPartition:
        if committed.offset >= 0:
            return committed
        # The end is asked for first: an event that comes meanwhile is behind it, and is read.
        _, end = extent_of(consumer, committed)
        since = now_ms() - _LOST_OFFSETS_DAYS * DAY_MS
        asked = TopicPartition(committed.topic, committed.partition, since)
        found = consumer.offsets_for_times([asked], timeout=KAFKA_ANSWER_SECONDS)[0]
        first = TopicPartition(committed.topic, committed.partition, found.offset if found.offset >= 0 else end)
        # Commit this offset as well: a crash before the end of the first batch must not choose another beginning.
        self._uncommitted = first
        return first

    def _revoked(self, consumer: Any, places: list[TopicPartition]) -> None:
        if places:
            self._uncommitted = None
        if _decides(places):
            self._end_deliveries()

    async def _begin_deliveries(self) -> None:
        self._delivering = self._loop.create_task(self._make_deliverer(self._holds, lambda: self._committed).run())

    def _end_deliveries(self) -> None:
        if self._delivering is None:
            return
        task, self._delivering = self._delivering, None

        async def ended() -> None:
            task.cancel()
            result = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(result, Exception):
                log.warning("deliveries ended: %r", result, extra=as_event("webhooks.trouble"))

        try:
            self._call(ended())
        except Exception as error:
            log.warning("deliveries did not end: %r", error, extra=as_event("webhooks.trouble"))
        log.info("this process no longer delivers webhooks", extra=as_event("webhooks.owned", owned=False))

    def _end(self, consumer: Any, topic: TopicName) -> int:
        """The offset behind the last record."""
        return extent_of(consumer, TopicPartition(topic_name(self._settings.prefix, topic), 0))[1]

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the event loop; returns what it returns. Raises what it raises, or TimeoutError."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(_CALL_SECONDS)
        except TimeoutError:
            future.cancel()
            raise


def _decides(places: list[TopicPartition]) -> bool:
    """Whether who has these partitions delivers. The topic has one; if it had more, the first one would decide."""
    return any(place.partition == 0 for place in places)
