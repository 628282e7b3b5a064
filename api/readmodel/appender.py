"""Appends records to topics, and says at which offset they lie."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from api.errors import KafkaUnavailableError, RecordTooLargeError
from runtime.clients import KAFKA_ANSWER_SECONDS, librdkafka_config, producer_config
from runtime.settings import Settings
from runtime.telemetry.tracing import trace_headers
from schemas.messages.formats import format_headers
from schemas.topics import MOST_RECORD_BYTES, TopicName, topic_name

_APPEND_SECONDS = 10.0
_POLL_SECONDS = 1.0
_IDLE_SECONDS = 10.0
"""Between looks at a producer that has nothing to send."""


class Appender:
    """One producer, for every topic that the API writes."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self._prefix = settings.prefix
        self._loop = loop
        self._config = {**librdkafka_config(settings), "log_level": 2}
        config = producer_config(
            settings,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            message_timeout_ms=int(_APPEND_SECONDS * 1000),
            queue_buffering_max_kbytes=2 * MOST_RECORD_BYTES // 1024,
        )
        self._producer = Producer({**config, "log_level": 2})
        self._stopping = threading.Event()
        self._appended = threading.Event()
        """Set when there may be a record that Kafka has not acknowledged."""
        self._thread = threading.Thread(target=self._serve, name="appender", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        """Have the producer tell of records that Kafka has acknowledged, while there are any that it has not."""
        while not self._stopping.is_set():
            if not len(self._producer):
                self._appended.wait(_IDLE_SECONDS)
                self._appended.clear()
            self._producer.poll(_POLL_SECONDS if len(self._producer) else 0)

    async def append(
        self, topic: TopicName, key: bytes, value: bytes | None, headers: Mapping[str, bytes] | None = None
    ) -> int:
        """Append a record; returns its offset once Kafka has acknowledged it.

        Raises:
            KafkaUnavailableError: Kafka did not acknowledge it in time.
            RecordTooLargeError: it is longer than Kafka takes. Trying again does not help.
        """
        future: asyncio.Future[int] = self._loop.create_future()

        def settle(error: KafkaError | None, offset: int) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(_problem(error))
            else:
                future.set_result(offset)

        def delivered(error: KafkaError | None, message: Any) -> None:
            self._loop.call_soon_threadsafe(settle, error, -1 if error else message.offset())

        name = topic_name(self._prefix, topic)
        carried = [*format_headers(), *trace_headers(), *(headers or {}).items()]
        try:
            self._producer.produce(name, value, key, on_delivery=delivered, headers=carried)
        except KafkaException as error:
            raise _problem(error.args[0]) from error
        except BufferError as error:
            raise KafkaUnavailableError(str(error)) from error
        self._appended.set()
        return await future

    async def end_of(self, topic: TopicName) -> int:
        """The offset behind the last record of a topic of one partition.

        Raises:
            KafkaUnavailableError: Kafka does not answer in time.
        """
        return await asyncio.to_thread(self._end_of, topic)

    def _end_of(self, topic: TopicName) -> int:
        place = TopicPartition(topic_name(self._prefix, topic), 0)
        try:
            admin = AdminClient(self._config)  # to be held until it has answered
            found = admin.list_offsets({place: OffsetSpec.latest()}, request_timeout=KAFKA_ANSWER_SECONDS)
            return int(found[place].result().offset)
        except KafkaException as error:
            raise KafkaUnavailableError(str(error)) from error

    def has(self, topic: TopicName, seconds: float) -> bool:
        """Whether Kafka answers within so many seconds, and has the topic; blocks."""
        name = topic_name(self._prefix, topic)
        try:
            metadata = self._producer.list_topics(name, seconds)
        except KafkaException:
            return False
        return metadata.topics[name].error is None

    def stop(self) -> None:
        """Send the records that are still in the queue; blocks for up to two seconds."""
        self._producer.flush(1.0)
        self._stopping.set()
        self._appended.set()
        self._thread.join(timeout=1)


def _problem(error: KafkaError) -> KafkaUnavailableError:
    too_large = error.code() == KafkaError.MSG_SIZE_TOO_LARGE
    return RecordTooLargeError(str(error)) if too_large else KafkaUnavailableError(str(error))
