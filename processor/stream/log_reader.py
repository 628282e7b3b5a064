"""Plain consumers, outside any group: they read lane records at an assignment, and parked blocks again by offset."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from processor.metrics import WorkerMetrics
from processor.stream.disconnecting import disconnect
from runtime.clients import LOOK_MS, aiokafka_config
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from schemas.job import Phase
from schemas.messages.codec import UndecodableError, decode
from schemas.messages.dead_letters import RejectedRecord
from schemas.messages.lanes import LaneRecord, OwnerRecord, lane_key, lane_of_key, owner_key
from schemas.topics import topic_name

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RestoredPartitions:
    """What a new owner of partitions finds."""

    lanes: list[LaneRecord]
    unclosed: frozenset[int]
    """Partitions that their last owner did not close."""
    rejected: list[RejectedRecord] = field(default_factory=list)
    """Records that could not be read."""
    lost: dict[tuple[str, int, Phase], str] = field(default_factory=dict)
    """Job, partition and phase of the lane whose record is one of these -> the reason, for an operator."""


async def read_lane_records(settings: Settings, partitions: Collection[int]) -> RestoredPartitions:
    """The newest record of every lane on these partitions, from the compacted topic, read to its end."""
    topic = topic_name(settings.prefix, "lanes")
    newest: dict[tuple[int, bytes | None], ConsumerRecord] = {}
    consumer = AIOKafkaConsumer(**aiokafka_config(settings), auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        await consumer.start()  # which a revocation may end
        tps = [TopicPartition(topic, partition) for partition in partitions]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        begins = await consumer.beginning_offsets(tps)
        left = {tp for tp in tps if begins[tp] < ends[tp]}
        while left:
            for tp, records in (await consumer.getmany(*left, timeout_ms=1000)).items():
                newest.update(((tp.partition, record.key), record) for record in records)
                if records[-1].offset + 1 >= ends[tp]:
                    left.discard(tp)
            for tp in list(left):
                if await consumer.position(tp) >= ends[tp]:
                    left.discard(tp)
    finally:
        await disconnect(consumer)
    return inheritance_of(topic, [record for record in newest.values() if record.value is not None])


def inheritance_of(topic: str, records: Iterable[ConsumerRecord]) -> RestoredPartitions:
    """What the newest records of some partitions of the topic `lanes`, tombstones left out, say. Pure."""
    lanes: list[LaneRecord] = []
    unclosed: set[int] = set()
    rejected: list[RejectedRecord] = []
    lost: dict[tuple[str, int, Phase], str] = {}
    for record in records:
        try:
            if record.key == owner_key(record.partition):
                owner: OwnerRecord = decode(record.value, OwnerRecord)
                if not owner.closed:
                    unclosed.add(record.partition)
            else:
                lanes.append(_lane_record(record))
        except UndecodableError as error:
            found = RejectedRecord(topic, record.partition, record.offset, record.key, record.value, str(error))
            rejected.append(found)
            if record.key == owner_key(record.partition):
                unclosed.add(record.partition)  # whether its owner has closed it is not known
            elif (lane := lane_of_key(record.key)) is not None:
                _, _, phase = lane
                way_on = "roll it back" if phase == "apply" else "roll it back once more: that begins anew"
                lost[lane] = f"its checkpoint of partition {record.partition} is lost ({found}): {way_on}"
    return RestoredPartitions(lanes, frozenset(unclosed), rejected, lost)


def _lane_record(record: ConsumerRecord) -> LaneRecord:
    lane: LaneRecord = decode(record.value, LaneRecord)
    if lane.partition != record.partition or record.key != lane_key(lane.job_id, lane.partition, lane.phase):
        raise UndecodableError(f"a record of job {lane.job_id}, partition {lane.partition}, lies under another key")
    return lane


MOST_SEEKS = 5
"""How often one read has aiokafka go back to where it was told to read, before it is given up."""


class PositionError(Exception):
    """Kafka's client reads at other offsets than it is told to, again and again. The worker ends, and its successor has
    a new client."""


class LogReader:
    """Reads ranges of the rows topic again, by offset, whatever the Faust consumer does meanwhile."""

    def __init__(self, settings: Settings, metrics: WorkerMetrics) -> None:
        self._topic = topic_name(settings.prefix, "rows")
        self._metrics = metrics
        self._consumer = AIOKafkaConsumer(
            **aiokafka_config(settings),
            auto_offset_reset="none",
            enable_auto_commit=False,
            isolation_level="read_committed",
            max_partition_fetch_bytes=512 * 1024,
            fetch_max_wait_ms=100,
            consumer_timeout_ms=LOOK_MS,
            check_crcs=False,
        )

    async def start(self) -> None:
        """Connect."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await disconnect(self._consumer)

    def assign(self, partitions: Iterable[int]) -> None:
        """Be ready to read these partitions; nothing is fetched until `read` asks."""
        tps = [TopicPartition(self._topic, partition) for partition in partitions]
        self._consumer.assign(tps)
        for tp in tps:
            # Without a position the fetcher would look for a committed offset, and there is no group.
            self._consumer.seek(tp, 0)
            self._consumer.pause(tp)

    async def read(self, partition: int, first: int, last: int) -> list[tuple[int, bytes]]:
        """The records from offset `first` to `last`, both included, as (offset, value), with those behind them that
        Kafka sent along; one call a partition at a time. Offsets of this range that are not among them hold no records.

        All that was fetched is given out: where some of a fetch is left when another offset is asked for, aiokafka
        leaves it, half a megabyte, to the garbage collector.

        Raises:
            aiokafka.errors.OffsetOutOfRangeError: retention has removed them.
            PositionError: aiokafka goes on reading at other offsets. What was asked for has to be read again.
            asyncio.CancelledError: the partition has been given up.
        """
        tp = TopicPartition(self._topic, partition)
        # aiokafka stays where the read before has ended, or has failed: at an offset that is gone, say.
        self._consumer.seek(tp, first)
        self._consumer.resume(tp)
        found: list[tuple[int, bytes]] = []
        position, seeks = first, 0
        try:
            while True:
                batches = await self._consumer.getmany(tp, timeout_ms=1000)
                records: list[ConsumerRecord] = batches.get(tp, [])
                reached = await self._consumer.position(tp)
                if reached < position or not all(position <= record.offset < reached for record in records):
                    told = f"partition {partition} was to be read from {position} on, and is at {reached}"
                    seeks += 1
                    if seeks > MOST_SEEKS:
                        raise PositionError(told)
                    log.warning("%s: it is read again", told, extra=as_event("kafka.trouble", partition=partition))
                    self._consumer.seek(tp, position)  # what was found before that is what was asked for
                    continue
                found += [(record.offset, record.value or b"") for record in records]
                position = reached
                if position > last:
                    break  # nothing is awaited before `pause`: the next fetch would begin, and be given up
                await asyncio.sleep(0)
        finally:
            if tp in self._consumer.assignment():
                self._consumer.pause(tp)
        self._metrics.reread_bytes.inc(sum(len(value) for offset, value in found if offset <= last))
        return found
