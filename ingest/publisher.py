"""Publishes blocks and reports: an idempotent producer with a bounded queue."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from ingest.errors import PublishError
from ingest.metrics import ReaderMetrics, Source
from runtime.clients import KAFKA_ANSWER_SECONDS, producer_config
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from runtime.telemetry.tracing import trace_headers
from schemas.messages.codec import encode
from schemas.messages.commands import Report
from schemas.messages.dead_letters import RejectedRecord
from schemas.messages.formats import format_headers
from schemas.topics import topic_name

log = logging.getLogger(__name__)

UNCONFIRMED_BYTES = 8 * 1024 * 1024
"""Blocks on their way to Kafka, at most: enough to keep Kafka busy, and few enough for a quick pause."""
_QUEUE_KBYTES = 32 * 1024
_LINGER_MS = 25
"""Blocks wait this long for others to be sent with, for they take Kafka and the workers less time so: see `hurry`."""
_HURRY_SECONDS = 0.001


class BlockPublisher:
    """One process's producer. Every method may raise PublishError: Kafka refused a record, and the process must end."""

    def __init__(self, settings: Settings, metrics: ReaderMetrics | None = None) -> None:
        self._metrics = metrics or ReaderMetrics()
        self._rows = topic_name(settings.prefix, "rows")
        self._reports = topic_name(settings.prefix, "reports")
        self._dead_letters = topic_name(settings.prefix, "dead-letters")
        self._rows_partitions = 0
        self._unconfirmed = 0
        self._failure: str | None = None
        config = producer_config(
            settings,
            enable_idempotence=True,
            acks="all",
            # Sealed blocks are compressed already, and what is encrypted can't be compressed once more.
            compression_type="none" if settings.seal_blocks else "lz4",
            linger_ms=_LINGER_MS,
            queue_buffering_max_kbytes=_QUEUE_KBYTES,
        )
        self._producer = Producer({**config, "error_cb": self._on_error})

    @property
    def has_room(self) -> bool:
        """Whether another block may be published now."""
        return self._unconfirmed < UNCONFIRMED_BYTES

    def block(self, partition: int, value: bytes, confirmed: Callable[[], None]) -> None:
        """Publish one block; `confirmed` is called from `poll` or `flush` once Kafka has it."""
        size = len(value)
        self._unconfirmed += size

        def delivered(error: KafkaError | None, _message: Any) -> None:
            self._unconfirmed -= size
            self._delivered(error, self._rows, confirmed)

        self._produce(topic=self._rows, partition=partition, value=value, on_delivery=delivered)

    def count(self, source: Source, rows: int, size: int) -> None:
        """Count a published block of `rows` rows and `size` bytes in the metrics."""
        self._metrics.published(source, 1, rows, size)

    def has_partition(self, partition: int) -> bool:
        """Whether the topic of the rows has this partition. Kafka is asked again for one that is not known: it may be
        new, and by the answer the producer learns of it as well.
        """
        if partition >= self._rows_partitions:
            try:
                known = self._producer.list_topics(self._rows, timeout=KAFKA_ANSWER_SECONDS).topics[self._rows]
            except KafkaException as error:
                raise PublishError(f"Kafka does not tell the partitions of {self._rows}: {error}") from error
            self._rows_partitions = len(known.partitions)
        return partition < self._rows_partitions

    def reject(self, record: RejectedRecord, confirmed: Callable[[], None]) -> None:
        """Make a dead letter of a record that can't be read."""

        def delivered(error: KafkaError | None, _message: Any) -> None:
            self._delivered(error, self._dead_letters, confirmed)

        key, value, headers = record.dead_letter()
        self._produce(
            topic=self._dead_letters, key=key, value=value, headers=list(headers.items()), on_delivery=delivered
        )

    def report(self, report: Report, confirmed: Callable[[], None] | None = None) -> None:
        """Publish a report about a job."""

        def delivered(error: KafkaError | None, _message: Any) -> None:
            self._delivered(error, self._reports, confirmed)

        key = report.job_id.encode()
        self._produce(topic=self._reports, key=key, value=encode(report), on_delivery=delivered)

    def hurry(self) -> None:
        """Have what has been published sent now: somebody waits for it, and there may be nothing to send it with."""
        self.flush(_HURRY_SECONDS)

    def poll(self, seconds: float = 0) -> None:
        """Handle delivery confirmations; waits up to `seconds` for the first."""
        self._producer.poll(seconds)
        self._check()

    def flush(self, seconds: float) -> bool:
        """Wait up to `seconds` until Kafka has all records; answers whether it has."""
        left: int = self._producer.flush(seconds)
        self._check()
        return left == 0

    def _produce(self, **record: Any) -> None:
        record["headers"] = [*format_headers(), *trace_headers(), *record.get("headers", ())]
        while True:
            try:
                self._producer.produce(**record)
            except BufferError:
                self.poll(0.01)
            except KafkaException as error:
                raise PublishError(f"record for {record['topic']} refused: {error}") from error
            else:
                return

    def _delivered(self, error: KafkaError | None, topic: str, confirmed: Callable[[], None] | None) -> None:
        if error is not None:
            self._failure = f"record for {topic} not delivered: {error}"
        elif confirmed is not None:
            confirmed()

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._failure = f"the producer can't go on: {error}"
        else:
            log.warning("producer: %s", error, extra=as_event("kafka.trouble"))

    def _check(self) -> None:
        if self._failure:
            raise PublishError(self._failure)
