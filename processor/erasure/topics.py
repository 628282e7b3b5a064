"""Records of jobs in the topics `dead-letters` and `inbox`, which are plain and lie among those of other jobs.

Kafka removes records from a partition's beginning only, and its files a segment at a time. So when a job is purged, the
dead letters of other jobs are written once more, behind a new segment, and then all before it is removed. The old ones
stand at the beginning, and go without that. Of the inbox all goes that the readers have committed: they never read it
again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from processor.elastic.bulk import Gate
from processor.errors import CannotGoOnError
from runtime.clients import librdkafka_config, producer_config
from runtime.clock import now_ms
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from runtime.topics.headers import headers_of
from runtime.topics.reading import TopicReading
from schemas.job import Job
from schemas.messages.codec import UndecodableError, decode
from schemas.messages.dead_letters import FIRST_WRITTEN, first_written
from schemas.policies.retention import StoreName
from schemas.policies.rights import erasure_marker
from schemas.topics import DAY_MS, TopicName, topic_name, topics

log = logging.getLogger(__name__)

_KAFKA_SECONDS: Final = 30.0
_COMMIT_SECONDS: Final = 120.0
"""How long the readers may take to commit what is on the inbox."""
_SETTLE_SECONDS: Final = 1.0
"""A broker takes a topic's new configuration in a moment after it has confirmed it."""
_ROLL_NOW: Final = "1"


class _Named(msgspec.Struct):
    job_id: str


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Refused rows, and refused records of the inbox, in the topic."""

    settings: Settings
    keep_days: float
    """Dead letters that are older go, whatever job they are of; infinity: none does."""
    turn: asyncio.Lock
    """Held while a topic is written anew: two at once would bring back what the other has left out."""
    name: StoreName = "dead_letters"

    def has(self, job: Job) -> bool:
        """See Store. Records of the inbox may be refused whatever becomes of the job."""
        totals = job.applied
        return totals is None or totals.rows_failed > 0 or job.retry is not None or job.source.kind == "topic"

    async def remove(self, jobs: Sequence[Job], gate: Gate) -> None:
        """See Store."""
        if jobs:
            async with self.turn:
                gate()
                await _in_thread(lambda: self._remove({job.id for job in jobs}, gate))

    async def remove_old(self, gate: Gate) -> None:
        """Remove those at the beginning of each partition that are older than `keep_days`. Writes nothing, and reads
        little more than it removes. Raises as `remove`.
        """
        if math.isfinite(self.keep_days):
            async with self.turn:
                gate()
                await _in_thread(lambda: self._remove_old(gate))

    def _remove_old(self, gate: Gate) -> None:
        topic = topic_name(self.settings.prefix, "dead-letters")
        oldest = now_ms() - self.keep_days * DAY_MS
        ends = {number: self._end_of_old(topic, number, oldest) for number in partitions_of(self.settings, topic)}
        if ends := {number: end for number, end in ends.items() if end}:
            gate()
            remove_before(self.settings, topic, ends)

    def _end_of_old(self, topic: str, partition: int, oldest: float) -> int:
        """The offset behind the last dead letter in front of the first one that stays; 0: none is old."""
        end = 0
        for message in TopicReading(self.settings, topic, [partition]):
            if _written(message) >= oldest:
                break
            end = (message.offset() or 0) + 1
        return end

    def _remove(self, job_ids: Collection[str], gate: Gate) -> None:
        topic = topic_name(self.settings.prefix, "dead-letters")
        found = {
            message.partition() or 0 for message in TopicReading(self.settings, topic) if belongs(message, job_ids)
        }
        if not found:
            return
        ends = roll(self.settings, "dead-letters", found)
        oldest = now_ms() - self.keep_days * DAY_MS
        producer = Producer(producer_config(self.settings, enable_idempotence=True, acks="all", linger_ms=20))
        problems: list[object] = []
        for message in TopicReading(self.settings, topic, sorted(found)):
            partition, offset = message.partition() or 0, message.offset() or 0
            if offset >= ends[partition] or belongs(message, job_ids):
                continue
            written = _written(message)
            if written < oldest:
                continue
            gate()  # the next owner may be at it by now
            _write_again(producer, message, written, problems)
        if producer.flush(_KAFKA_SECONDS) or problems:
            raise CannotGoOnError(f"Kafka does not take the dead letters that stay: {problems[:1] or 'no answer'}")
        gate()
        remove_before(self.settings, topic, ends)


def _written(message: Message) -> int:
    """When a dead letter was written, or that which it repeats: milliseconds since 1970."""
    return first_written(dict(headers_of(message)).get(FIRST_WRITTEN), message.timestamp()[1])


def _write_again(producer: Producer, message: Message, written: int, problems: list[object]) -> None:
    """Write a dead letter once more, with the time of the first one, and note in `problems` if Kafka does not take it.

    One that is too long for that, because of the time, goes with those in front of it: it must hold up no other.
    """

    def delivered(error: KafkaError | None, _: Message | None = None) -> None:
        if error is None:
            return
        if error.code() != KafkaError.MSG_SIZE_TOO_LARGE:
            problems.append(error)
            return
        log.error(
            "the dead letter at offset %s of partition %s goes, since it is too long to be written once more: %s",
            message.offset(),
            message.partition(),
            error,
            extra=as_event("store.trouble"),
        )

    headers = {**dict(headers_of(message)), FIRST_WRITTEN: str(written).encode()}
    place = message.topic() or "", message.value(), message.key(), message.partition() or 0
    while True:
        try:
            producer.produce(*place, headers=list(headers.items()), on_delivery=delivered)
            return None
        except BufferError:
            producer.poll(0.1)
        except KafkaException as error:
            return delivered(error.args[0])


@dataclass(frozen=True, slots=True)
class InboxRecords:
    """Rows as services have sent them, in the topic `inbox`."""

    settings: Settings
    turn: asyncio.Lock
    name: StoreName = "inbox"

    def has(self, job: Job) -> bool:
        """See Store."""
        return job.source.kind == "topic"

    async def remove(self, jobs: Sequence[Job], gate: Gate) -> None:
        """See Store. The records of all jobs go that the readers have dealt with: blocks have the others' rows."""
        if any(self.has(job) for job in jobs):
            async with self.turn:
                gate()
                await _in_thread(self._remove)

    def _remove(self) -> None:
        topic = topic_name(self.settings.prefix, "inbox")
        partitions = partitions_of(self.settings, topic)
        ends = roll(self.settings, "inbox", partitions)
        admin = AdminClient(librdkafka_config(self.settings))
        group = ConsumerGroupTopicPartitions(
            f"{self.settings.prefix}-inbox", [TopicPartition(topic, number) for number in partitions]
        )
        deadline = time.monotonic() + _COMMIT_SECONDS
        while True:
            (future,) = admin.list_consumer_group_offsets([group]).values()
            committed = {place.partition: place.offset for place in future.result(_KAFKA_SECONDS).topic_partitions}
            behind = [number for number, end in ends.items() if end > max(committed.get(number, -1), 0)]
            if not [number for number in behind if _has_records(self.settings, topic, number, ends[number], committed)]:
                break
            if time.monotonic() > deadline:
                raise CannotGoOnError(
                    "the inbox has records that no reader has dealt with, so it can't be cleared: see whether a reader "
                    "runs (`sluice status`), and purge again"
                )
            time.sleep(_SETTLE_SECONDS)
        remove_before(self.settings, topic, ends)


def belongs(message: Message, job_ids: Collection[str]) -> bool:
    """Whether a dead letter is one of these jobs: by its key, or by what its value says."""
    if (message.key() or b"").decode("utf-8", "replace") in job_ids:
        return True
    value = message.value() or b""
    try:
        return bool(decode(value, _Named).job_id in job_ids)
    except UndecodableError:
        return any(job_id.encode() in value for job_id in job_ids)  # cut off, or no JSON: better one too many


def partitions_of(settings: Settings, topic: str) -> list[int]:
    """The numbers of a topic's partitions. Raises KafkaException: Kafka does not answer."""
    admin = AdminClient(librdkafka_config(settings))
    return sorted(admin.list_topics(topic, timeout=_KAFKA_SECONDS).topics[topic].partitions)


def roll(settings: Settings, name: TopicName, partitions: Collection[int]) -> dict[int, int]:
    """Have Kafka begin a new segment on these partitions; partition -> the offset at which it begins.

    A record of a transaction that is aborted begins it: no consumer ever sees it. Where this user of Kafka may not
    change the topic's configuration, the segments end when Kafka ends them, and their files go so much later.
    """
    topic = topic_name(settings.prefix, name)
    admin = AdminClient(librdkafka_config(settings))
    changed = _set_segment_ms(admin, topic, _ROLL_NOW)
    try:
        if changed:
            time.sleep(_SETTLE_SECONDS)
        return _marked(settings, topic, partitions)
    finally:
        if changed:
            _set_segment_ms(admin, topic, _usual_segment_ms(settings, name))


def _marked(settings: Settings, topic: str, partitions: Collection[int]) -> dict[int, int]:
    offsets: dict[int, int] = {}
    errors: list[object] = []

    def delivered(error: object, message: Message) -> None:
        if error is None:
            offsets[message.partition() or 0] = message.offset() or 0
        else:
            errors.append(error)

    marker = erasure_marker(settings.prefix, topic)
    producer = Producer(producer_config(settings, transactional_id=marker, acks="all"))
    producer.init_transactions(_KAFKA_SECONDS)
    producer.begin_transaction()
    for partition in partitions:
        producer.produce(topic, b"", b"", partition, on_delivery=delivered)
    left = producer.flush(_KAFKA_SECONDS)
    producer.abort_transaction(_KAFKA_SECONDS)
    if left or errors or len(offsets) < len(partitions):
        raise CannotGoOnError(f"Kafka does not answer on topic {topic}: {errors[:1] or 'no answer'}; purge again later")
    return offsets


def remove_before(settings: Settings, topic: str, ends: dict[int, int]) -> None:
    """Remove the records before these offsets (partition -> offset), for all consumers."""
    admin = AdminClient(librdkafka_config(settings))
    places = [TopicPartition(topic, partition, offset) for partition, offset in ends.items()]
    for future in admin.delete_records(places, request_timeout=_KAFKA_SECONDS).values():
        future.result(_KAFKA_SECONDS)


def _usual_segment_ms(settings: Settings, name: TopicName) -> str | None:
    full = topic_name(settings.prefix, name)
    return next(topic.config.get("segment.ms") for topic in topics(settings.prefix, 1) if topic.name == full)


def _set_segment_ms(admin: AdminClient, topic: str, value: str | None) -> bool:
    """Whether Kafka lets this user."""
    operation = AlterConfigOpType.SET if value is not None else AlterConfigOpType.DELETE
    entry = ConfigEntry("segment.ms", value or "", incremental_operation=operation)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    try:
        for future in admin.incremental_alter_configs([resource], request_timeout=_KAFKA_SECONDS).values():
            future.result(_KAFKA_SECONDS)
    except KafkaException as error:
        log.warning(
            "could not make Kafka roll the segments of %s now, so its old records go later: %s",
            topic,
            error,
            extra=as_event("store.trouble"),
        )
        return False
    return True


def _has_records(settings: Settings, topic: str, partition: int, end: int, committed: dict[int, int]) -> bool:
    """Whether there are committed records between a group's offset and `end`; what ends transactions is none."""
    since = max(committed.get(partition, 0), 0)
    reading = TopicReading(settings, topic, [partition])
    return any(since <= (message.offset() or 0) < end for message in reading)


async def _in_thread(remove: Callable[[], None]) -> None:
    try:
        await asyncio.to_thread(remove)
    except TimeoutError as error:
        raise CannotGoOnError("Kafka does not answer; purge again") from error
    except KafkaException as error:
        raise CannotGoOnError(f"Kafka does not let records be removed: {error}") from error
