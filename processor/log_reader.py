"""Plain consumers, outside any group: they read lane records at an assignment, and parked blocks again by offset."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from processor.errors import CannotGoOnError
from processor.metrics import WorkerMetrics
from runtime.clients import aiokafka_config
from runtime.settings import Settings
from schemas.codec import UndecodableError, decode
from schemas.lanes import OWNER_KEY, LaneRecord, OwnerRecord
from schemas.topics import topic_name


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a new owner of partitions finds."""

    lanes: list[LaneRecord]
    unclosed: frozenset[int]
    """Partitions whose last owner did not say goodbye."""


async def read_lane_records(settings: Settings, partitions: Collection[int]) -> Inheritance:
    """The newest record of every lane on these partitions, from the compacted topic, read to its end."""
    topic = topic_name(settings.prefix, "lanes")
    newest: dict[bytes, bytes | None] = {}
    consumer = AIOKafkaConsumer(**aiokafka_config(settings), auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        tps = [TopicPartition(topic, partition) for partition in partitions]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        begins = await consumer.beginning_offsets(tps)
        left = {tp for tp in tps if begins[tp] < ends[tp]}
        while left:
            for tp, records in (await consumer.getmany(*left, timeout_ms=1000)).items():
                newest.update((record.key, record.value) for record in records)
                if records[-1].offset + 1 >= ends[tp]:
                    left.discard(tp)
            for tp in list(left):
                if await consumer.position(tp) >= ends[tp]:
                    left.discard(tp)
    finally:
        await consumer.stop()
    lanes, unclosed = [], set()
    try:
        for key, value in newest.items():
            if value is not None and key.startswith(OWNER_KEY):
                owner = decode(value, OwnerRecord)
                if not owner.closed:
                    unclosed.add(owner.partition)
            elif value is not None:
                lanes.append(decode(value, LaneRecord))
    except UndecodableError as error:
        raise CannotGoOnError(f"a record of topic {topic} can't be read: {error}") from error
    return Inheritance(lanes, frozenset(unclosed))


class LogReader:
    """Reads ranges of the rows topic again, by offset, whatever the Faust consumer does meanwhile."""

    def __init__(self, settings: Settings, metrics: WorkerMetrics) -> None:
        self._topic = topic_name(settings.prefix, "rows")
        self._positions: dict[int, int] = {}
        self._metrics = metrics
        self._consumer = AIOKafkaConsumer(
            **aiokafka_config(settings),
            auto_offset_reset="none",
            enable_auto_commit=False,
            isolation_level="read_committed",
            max_partition_fetch_bytes=512 * 1024,
            fetch_max_wait_ms=100,
            check_crcs=False,
        )

    async def start(self) -> None:
        """Connect."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    def assign(self, partitions: Iterable[int]) -> None:
        """Be ready to read these partitions; nothing is fetched until `read` asks."""
        tps = [TopicPartition(self._topic, partition) for partition in partitions]
        self._positions.clear()
        self._consumer.assign(tps)
        for tp in tps:
            # Without a position the fetcher would look for a committed offset, and there is no group.
            self._consumer.seek(tp, 0)
            self._consumer.pause(tp)

    async def read(self, partition: int, first: int, last: int) -> list[tuple[int, bytes]]:
        """The records from offset `first` to `last`, both included, as (offset, value); one call a partition at a time.

        Raises:
            aiokafka.errors.OffsetOutOfRangeError: retention has removed them.
            asyncio.CancelledError: the partition has been given up.
        """
        tp = TopicPartition(self._topic, partition)
        if self._positions.get(partition) != first:
            self._consumer.seek(tp, first)
        self._consumer.resume(tp)
        found: list[tuple[int, bytes]] = []
        position = first
        try:
            while position <= last:
                batches = await self._consumer.getmany(tp, timeout_ms=1000, max_records=max(1, last - position + 1))
                records: list[ConsumerRecord] = batches.get(tp, [])
                found += [(record.offset, record.value or b"") for record in records]
                self._metrics.reread_bytes.inc(sum(len(record.value or b"") for record in records))
                position = records[-1].offset + 1 if records else await self._consumer.position(tp)
                await asyncio.sleep(0)
        finally:
            if tp in self._consumer.assignment():
                self._consumer.pause(tp)
        self._positions[partition] = position
        return found
