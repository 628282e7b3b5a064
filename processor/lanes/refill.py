"""Reads parked blocks again: for each partition, the lane whose job has had the least so far goes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiokafka.errors import OffsetOutOfRangeError

from control.jobtable import JobTable
from processor.lanes.lane import Lane, Loaded
from processor.lanes.owned_lanes import Lanes
from processor.stream.log_reader import LogReader
from schemas.messages.blocks import BlockHead
from schemas.messages.codec import UndecodableError, decode

ROOM_BLOCKS = 1024
"""Blocks that a worker's lanes share, in memory. What finds no room is read from Kafka a second time."""
ROOM_BYTES = 64 * 1024 * 1024
"""Bytes that these blocks may take up; large blocks reach this bound first."""
REMEMBERED = 64
"""Blocks over which the exponential mean of their size is taken."""
COUNTED_AGAIN = 8
"""The lanes at work are counted again after a share of 1 / `COUNTED_AGAIN` of as many questions as there were lanes:
else many jobs at once would count each other all the time."""
CHUNK_BLOCKS = 8
"""Blocks read again in one go: so many, then the next lane has its turn."""


class Refill:
    """One task for each partition that is owned."""

    def __init__(
        self,
        jobs: JobTable,
        lanes: Lanes,
        reader: LogReader,
        lane_blocks: int,
        on_loaded: Callable[[], None],
        on_broken: Callable[[Lane, str], None],
    ) -> None:
        """`on_broken(lane, reason)`: blocks that the lane has to apply are not in the log any more; the job fails."""
        self._jobs = jobs
        self._lanes = lanes
        self._reader = reader
        self._lane_blocks = lane_blocks
        self._on_loaded = on_loaded
        self._on_broken = on_broken
        self._wakeups: dict[int, asyncio.Event] = {}
        self._mean_bytes = 0.0
        self._active, self._asked = 1, 0

    def met(self, size: int) -> None:
        """Take note of a block's size, in bytes."""
        self._mean_bytes += (size - self._mean_bytes) / REMEMBERED

    def room(self) -> int:
        """Blocks that one lane may have in memory now: fewer, the more lanes are at work and the larger blocks are."""
        self._asked -= 1
        if self._asked < 0:
            self._active = sum(len(lanes) for _, lanes in self._lanes.at_work(self._jobs.runnable())) or 1
            self._asked = self._active // COUNTED_AGAIN
        most = min(ROOM_BLOCKS, int(ROOM_BYTES / max(self._mean_bytes, 1.0)))
        return max(2, min(self._lane_blocks, most // self._active))

    def wake(self, partition: int | None = None) -> None:
        """Lanes of this partition (None: of any) may want blocks."""
        for number, event in self._wakeups.items():
            if partition is None or number == partition:
                event.set()

    async def run(self, partition: int) -> None:
        """Keep the lanes of one partition in blocks, until cancelled."""
        event = self._wakeups[partition] = asyncio.Event()
        event.set()
        try:
            while True:
                await event.wait()
                event.clear()
                while (lane := self._next_starved(partition)) is not None:
                    await self._feed(lane, partition)
        finally:
            self._wakeups.pop(partition, None)

    def _next_starved(self, partition: int) -> Lane | None:
        room = self.room()
        starved = [
            lane
            for _, lanes in self._lanes.at_work(self._jobs.runnable())
            if (lane := lanes.get(partition)) is not None
            and lane.parked
            and len(lane.ready) <= room // 2
            and lane.wanted(room) is not None
        ]
        return min(starved, key=lambda lane: len(lane.ready), default=None)

    async def _feed(self, lane: Lane, partition: int) -> None:
        wanted = lane.wanted(self.room())
        if wanted is None:
            return
        first, last = wanted[0], min(wanted[1], wanted[0] + CHUNK_BLOCKS - 1)
        try:
            records = await self._reader.read(partition, first, last)
        except OffsetOutOfRangeError:
            count = len(lane.todo)
            job = self._jobs.get(lane.job_id)
            if job is not None:
                self._lanes.give_up(job)
            way_on = (
                "their rows are missing; roll the job back and send the file again"
                if lane.phase == "apply"
                else "roll the job back once more: that begins anew"
            )
            self._on_broken(
                lane,
                f"{count} parked blocks of partition {partition}, from offset {first} on, are not in Kafka any more "
                f"(retention of the rows topic): {way_on}",
            )
            return
        found = set()
        for offset, value in records:
            try:
                head = decode(value, BlockHead)
            except UndecodableError:
                continue
            if head.job_id == lane.job_id and head.run == lane.run:
                found.add(offset)
                self.met(len(value))
                lane.refill(Loaded(offset, head.block, value, head.first_row))
        for offset in range(first, last + 1):
            if offset not in found:
                lane.forget(offset)
        self._on_loaded()
