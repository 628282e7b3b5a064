"""Follows the topics ``jobs``, ``lanes`` and ``job-events`` from their beginning, in a thread, and feeds the view."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from api.readmodel.decoding import Decoder
from api.readmodel.job_index import Seen
from runtime.clients import librdkafka_config
from runtime.clock import now_ms
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from schemas.topics import TopicName, topic_name

log = logging.getLogger(__name__)

FOLLOWED: tuple[TopicName, ...] = ("job-events", "jobs", "lanes")
_BATCH = 500
_RETRY_SECONDS = 1.0
_LOST = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})


def groupless_consumer(settings: Settings, **more: Any) -> Consumer:
    """A consumer for `assign`, which commits no offsets. Its buffers are small: the API has little memory."""
    config = librdkafka_config(
        settings,
        group_id=f"{settings.prefix}-api",
        enable_auto_commit=False,
        enable_auto_offset_store=False,
        auto_offset_reset="earliest",
        queued_min_messages=1000,
        queued_max_messages_kbytes=2048,
        # With the default of a second small buffers would limit it to a thousand records a second.
        fetch_queue_backoff_ms=5,
        **more,
    )
    return Consumer({**config, "log_level": 2})


class Follower:
    """The thread. It calls `deliver` and `caught_up` in the event loop."""

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[list[Seen]], None],
        caught_up: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._deliver = deliver
        self._caught_up = caught_up
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; blocks for up to two seconds."""
        self._stopping.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._stopping.is_set():
            consumer = groupless_consumer(self._settings, enable_partition_eof=True)
            try:
                self._follow(consumer)
            except Exception as error:
                # Reading again from the beginning is idempotent.
                log.warning("following the topics failed, trying again: %s", error, extra=as_event("kafka.trouble"))
                self._stopping.wait(_RETRY_SECONDS)
            finally:
                consumer.close()

    def _follow(self, consumer: Consumer) -> None:
        wanted = self._partitions(consumer)
        consumer.assign(wanted)
        behind = {(partition.topic, partition.partition) for partition in wanted}
        decoder = Decoder(self._settings.prefix, now_ms=now_ms())
        while not self._stopping.is_set():
            batch: list[Seen] = []
            message = consumer.poll(1.0)
            while message is not None:
                error = message.error()
                if error is None:
                    place = message.topic(), message.key(), message.value(), message.offset()
                    seen = decoder.seen(*place, _at(message), message.partition())
                    if seen is not None:
                        batch.append(seen)
                elif error.code() == KafkaError._PARTITION_EOF:
                    behind.discard((message.topic(), message.partition()))
                elif error.code() in _LOST or error.fatal():
                    raise KafkaException(error)
                else:
                    log.warning("Kafka: %s", error, extra=as_event("kafka.trouble"))
                message = consumer.poll(0) if len(batch) < _BATCH else None
            if batch:
                self._hand_over(batch)
            if not behind and self._caught_up is not _done:
                self._loop.call_soon_threadsafe(self._caught_up)
                self._caught_up = _done

    def _hand_over(self, batch: list[Seen]) -> None:
        """Give a batch to the event loop, and wait until it is folded in: else a long topic would pile up in memory."""
        folded = threading.Event()

        def take() -> None:
            try:
                self._deliver(batch)
            finally:
                folded.set()

        self._loop.call_soon_threadsafe(take)
        while not folded.wait(timeout=1) and not self._stopping.is_set():
            pass

    def _partitions(self, consumer: Consumer) -> list[TopicPartition]:
        """Every partition to follow, as soon as all topics exist."""
        names = [topic_name(self._settings.prefix, name) for name in FOLLOWED]
        topics = consumer.list_topics(timeout=5).topics
        missing = [name for name in names if name not in topics or not topics[name].partitions]
        if missing:
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_TOPIC, f"no topic {', '.join(missing)} yet"))
        return [TopicPartition(name, number, OFFSET_BEGINNING) for name in names for number in topics[name].partitions]


def _done() -> None:
    """Replaces `caught_up` once it has been called."""


def _at(message: Any) -> int:
    return int(message.timestamp()[1])
