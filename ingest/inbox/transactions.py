"""The inbox's consumer and its transactions: Kafka takes blocks, checkpoints, refusals and offsets together or not.

Each row is taken exactly once because of the order at an assignment. The new owner asks for the committed offset until
no transaction of the owner before it is pending (KIP-447). Then it looks up the end of the checkpoints' partition, the
records of open transactions included, and reads the checkpoints up to there: so they belong to the offset.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from ingest.inbox.batch import Batch
from ingest.inbox.intake import InboxContext
from ingest.inbox.partition import InboxPartition
from ingest.inbox.second_reading import SecondReading
from ingest.inbox.waiting_rows import record_of
from ingest.metrics import ReaderMetrics
from runtime.clients import librdkafka_config, producer_config
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from runtime.topics.callbacks import GroupCallbacks
from runtime.topics.reading import TopicReading
from schemas.messages.codec import UndecodableError, decode, encode
from schemas.messages.dead_letters import RejectedRecord
from schemas.messages.formats import format_headers
from schemas.messages.inbox import InboxRecord
from schemas.topics import topic_name

log = logging.getLogger(__name__)

SHORTEST_SECONDS = 5.0
"""The least time limit of a transaction."""
_KAFKA_SECONDS = 30.0
_PREFETCH_KBYTES = 16 * 1024


class InterruptedSessionError(Exception):
    """A transaction was aborted, or could not be begun. The caller may safely begin anew, at the committed offsets."""


class InboxConsumer:
    """One member of the group that shares the inbox; `assigned` are its partitions."""

    def __init__(
        self,
        settings: Settings,
        context: Callable[[int], InboxContext],
        refresh: Callable[[], None],
        metrics: ReaderMetrics,
    ) -> None:
        """`context(partitions)` makes the context of the partitions; `refresh` brings the control table up to date."""
        self._settings = settings
        self._refresh = refresh
        self._metrics = metrics
        self._topic = topic_name(settings.prefix, "inbox")
        self.assigned: dict[int, InboxPartition] = {}
        self._held: set[int] = set()
        self._second_reading = SecondReading(settings)
        self._failure: str | None = None
        self.signed = False
        """Whether a signed record has come."""
        session_ms = int(settings.session_timeout_seconds * 1000)
        config = librdkafka_config(
            settings,
            group_id=f"{settings.prefix}-inbox",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=min(3000, session_ms // 3),
            partition_assignment_strategy="cooperative-sticky",
            queued_max_messages_kbytes=_PREFETCH_KBYTES,
        )
        self._consumer: Any = Consumer({**config, "error_cb": self._on_error})
        known = self._consumer.list_topics(self._topic, timeout=_KAFKA_SECONDS)
        self._context = context(len(known.topics[self._topic].partitions))
        self._callbacks = GroupCallbacks()
        assigned, revoked = self._callbacks.kept(self._on_assign), self._callbacks.kept(self._on_revoke)
        self._consumer.subscribe([self._topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked)

    @property
    def partitions(self) -> int:
        """Partitions of the inbox."""
        return self._context.partitions

    @property
    def group(self) -> Any:
        """Proof of the membership, for the transactions."""
        return self._consumer.consumer_group_metadata()

    def receive(self, most: int, seconds: float) -> tuple[int, int]:
        """Give the records that have come to their partitions; waits up to `seconds` for `most` records.

        Answers how many records came, and how many bytes of memory they take, about.

        Raises:
            InterruptedSessionError: the consumer can't go on.
            KafkaException: a new partition's checkpoints can't be read.
        """
        count = size = 0
        records = self._consumer.consume(most, seconds)
        self._callbacks.require()
        for record in records:
            error = record.error()
            if error is not None:
                log.warning("inbox: %s", error, extra=as_event("kafka.trouble"))
                continue
            partition = self.assigned.get(record.partition())
            if partition is not None:
                taken = record_of(record)
                self.signed = self.signed or bool(taken.headers)
                count += 1
                size += taken.size
                partition.come(taken)
        if self._failure:
            raise InterruptedSessionError(self._failure)
        return count, size

    def read_again(self, now: float) -> None:
        """Give the partitions some of the records that they have passed over and take now; `now`: of a steady clock.

        Raises:
            KafkaException: Kafka refuses them.
        """
        self._second_reading.go_on(self.assigned, now)

    def hold(self) -> None:
        """Stop fetching for the partitions without room, and go on fetching for those that have room again."""
        waiting = {number for number, partition in self.assigned.items() if partition.backlog}
        if waiting - self._held:
            self._consumer.pause([TopicPartition(self._topic, number) for number in waiting - self._held])
        if self._held - waiting:
            self._consumer.resume([TopicPartition(self._topic, number) for number in self._held - waiting])
        self._held = waiting

    def measure(self) -> None:
        """Bring the lag up to date."""
        places = self._consumer.position([TopicPartition(self._topic, number) for number in self.assigned])
        self._metrics.behind(self._consumer, self._topic, {p.partition: p.offset for p in places if p.offset >= 0})

    def close(self) -> None:
        """Leave the group at once."""
        self._second_reading.close()
        self._consumer.close()

    def _on_assign(self, consumer: Any, partitions: list[Any]) -> None:
        self._metrics.rebalances.labels(self._topic).inc()
        committed = consumer.committed(partitions, timeout=_KAFKA_SECONDS)
        self._refresh()
        states = read_states(self._settings, [item.partition for item in partitions])
        places = []
        for place in committed:
            if place.error is not None:
                raise KafkaException(place.error)
            number, offset = place.partition, place.offset if place.offset >= 0 else OFFSET_BEGINNING
            found = states.get(number, States())
            self.assigned[number] = InboxPartition(number, max(offset, 0), found.records, self._context, found.rejected)
            places.append(TopicPartition(self._topic, number, offset))
        consumer.incremental_assign(places)
        # librdkafka keeps a partition paused that was so when it was revoked, though it is assigned anew.
        consumer.resume(places)
        log.info(
            "inbox: assigned partitions %s, with %d jobs that take rows",
            sorted(item.partition for item in partitions), sum(len(found.records) for found in states.values()),
            extra=as_event("partitions.assigned", partitions=sorted(item.partition for item in partitions)),
        )  # fmt: skip

    def _on_revoke(self, _consumer: Any, partitions: list[Any]) -> None:
        numbers = sorted(item.partition for item in partitions)
        log.info("inbox: released partitions %s", numbers, extra=as_event("partitions.released", partitions=numbers))
        for item in partitions:
            self.assigned.pop(item.partition, None)
            self._held.discard(item.partition)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._failure = f"the consumer can't go on: {error}"
        else:
            log.warning("inbox: %s", error, extra=as_event("kafka.trouble"))


@dataclass(frozen=True, slots=True)
class States:
    """The checkpoints on one partition."""

    records: list[InboxRecord] = field(default_factory=list)
    rejected: list[RejectedRecord] = field(default_factory=list)
    """Checkpoints that can't be read."""


def read_states(settings: Settings, partitions: Sequence[int]) -> dict[int, States]:
    """The checkpoints on these partitions; waits for transactions that are about to end, and includes theirs.

    Raises:
        KafkaException: Kafka does not answer in time.
    """
    if not partitions:
        return {}
    newest: dict[tuple[int, bytes | None], Message] = {}
    for message in TopicReading(settings, topic_name(settings.prefix, "inbox-state"), partitions, pending=True):
        newest[message.partition() or 0, message.key()] = message
    states = {number: States() for number in partitions}
    for (number, key), message in newest.items():
        value = message.value()
        if value is None:
            continue
        try:
            state: InboxRecord = decode(value, InboxRecord)
            if state.job_id.encode() != key:
                raise UndecodableError(f"a checkpoint of job {state.job_id} lies under another key")
        except UndecodableError as error:
            topic, offset = message.topic() or "", message.offset() or 0
            states[number].rejected.append(RejectedRecord(topic, number, offset, key, value, str(error)))
            log.error(
                "inbox: this checkpoint can't be read: %s",
                states[number].rejected[-1],
                extra=as_event("record.unreadable"),
            )
        else:
            states[number].records.append(state)
    return states


class Transactions:
    """The transactional producer of one process, under a unique id: membership in the group decides who may commit."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.prefix
        # When a process dies, Kafka aborts its open transaction after this time, about when its partitions are assigned
        # to another process. Until then no worker can read the records behind it on the topic `rows`.
        self._seconds = max(SHORTEST_SECONDS, settings.session_timeout_seconds)
        self._producer: Any = Producer(
            producer_config(
                settings,
                transactional_id=f"{settings.prefix}-inbox-{uuid.uuid4().hex[:12]}",
                transaction_timeout_ms=int(self._seconds * 1000),
                delivery_timeout_ms=int(self._seconds * 1000),
                acks="all",
                compression_type="lz4",
                linger_ms=1,
                queue_buffering_max_kbytes=64 * 1024,
            )
        )
        try:
            self._producer.init_transactions(_KAFKA_SECONDS)
        except KafkaException as error:
            raise InterruptedSessionError(f"no transaction can be begun: {error}") from error

    def write(self, batches: dict[int, Batch], group: Any) -> None:
        """Write all batches and their offsets.

        Raises:
            InterruptedSessionError: the transaction was aborted, and nothing is written.
        """
        try:
            self._producer.begin_transaction()
            for partition, batch in batches.items():
                self._produce_batch(partition, batch)
            # Checkpoints are in the log before the offsets that belong to them: see the top of this module.
            if self._producer.flush(self._seconds):
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "Kafka takes too long"))
            inbox = topic_name(self._prefix, "inbox")
            positions = [TopicPartition(inbox, partition, batch.position) for partition, batch in batches.items()]
            self._insist(lambda: self._producer.send_offsets_to_transaction(positions, group, self._seconds))
            self._insist(lambda: self._producer.commit_transaction(self._seconds))
        except KafkaException as error:
            self._abort()
            raise InterruptedSessionError(f"a transaction was aborted: {error}") from error

    def close(self) -> None:
        """Abort an open transaction."""
        self._abort()

    def _produce_batch(self, partition: int, batch: Batch) -> None:
        for (number, _), value in zip(batch.blocks, batch.values, strict=True):
            self._produce("rows", number, None, value)
        for job_id, state in batch.states:
            self._produce("inbox-state", partition, job_id.encode(), encode(state) if state else None)
        for home, job_id, record in batch.moved:
            self._produce("inbox", home, job_id.encode(), record.value, dict(record.headers))
        for key in batch.dropped:
            self._produce("inbox-state", partition, key, None)
        inbox = topic_name(self._prefix, "inbox")
        refused = [
            RejectedRecord(inbox, partition, record.offset, record.key, record.value, letter.reason)
            for letter in batch.dead_letters
            for record in (letter.record,)
        ]
        for rejected in (*batch.rejected, *refused):
            self._produce("dead-letters", None, *rejected.dead_letter())

    def _produce(
        self,
        topic: Any,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Mapping[str, str | bytes] | None = None,
    ) -> None:
        more = {"partition": partition} if partition is not None else {}
        while True:
            try:
                self._producer.produce(
                    topic_name(self._prefix, topic),
                    value,
                    key,
                    headers=[*format_headers(), *(headers or {}).items()],
                    **more,
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _insist(self, call: Callable[[], None]) -> None:
        deadline = time.monotonic() + self._seconds
        while True:
            try:
                return call()
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise

    def _abort(self) -> None:
        try:
            self._producer.abort_transaction(self._seconds)
        except KafkaException as error:
            log.debug("the open transaction could not be aborted: %s", error)  # Kafka aborts it after its time limit
