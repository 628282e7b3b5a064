"""Reads parked blocks again: for each partition, the lane with the fewest in memory goes first, or, where not all lanes
have room, the one whose turn is next."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import islice

from aiokafka.errors import OffsetOutOfRangeError

from control.jobtable import JobTable
from processor.lanes.lane import Lane, Loaded
from processor.lanes.owned_lanes import Lanes
from processor.lanes.room import Room
from processor.stream.log_reader import LogReader
from schemas.messages.blocks import BlockHead
from schemas.messages.codec import UndecodableError, decode

CHUNK_BLOCKS = 8
"""Blocks read again in one go: so many, then the next lane has its turn."""
FED_TOGETHER = 8
"""Lanes that are fed before it is looked again which have the fewest blocks: each look goes through all jobs."""
LOOK_SECONDS = 1.0
"""Where not all lanes have room, it is looked again after this long at the latest which have."""


class Refill:
    """One task for each partition that is owned."""

    def __init__(
        self,
        jobs: JobTable,
        lanes: Lanes,
        reader: LogReader,
        room: Room,
        on_loaded: Callable[[], None],
        on_broken: Callable[[Lane, str], None],
    ) -> None:
        """`on_broken(lane, reason)`: blocks that the lane has to apply are not in the log any more; the job fails."""
        self._jobs = jobs
        self._lanes = lanes
        self._reader = reader
        self._room = room
        self._on_loaded = on_loaded
        self._on_broken = on_broken
        self._wakeups: dict[int, asyncio.Event] = {}
        room.on_other = self.wake

    def taken(self, partition: int) -> None:
        """A lane of this partition has given out a block."""
        self._room.moved()
        self.wake(partition)

    def job_changed(self, job_id: str) -> None:
        """A job has another state, or waits for its first block now."""
        self._room.changed(job_id)
        self.wake()

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
                try:
                    async with asyncio.timeout(LOOK_SECONDS if self._room.scarce else None):
                        await event.wait()
                except TimeoutError:
                    self._room.look_again()
                event.clear()
                while starved := self._next_starved(partition):
                    for lane in starved:
                        if self._is_starved(lane, self._room.each()):
                            await self._feed(lane)
        finally:
            self._wakeups.pop(partition, None)

    def _next_starved(self, partition: int) -> list[Lane]:
        """The lanes to feed next, at most `FED_TOGETHER`; where not all have room, the one whose turn is next."""
        each, near = self._room.each(), self._room.near()
        job_ids = (job.id for job in self._jobs.runnable()) if near is None else near
        # Nearly all lanes want nothing, and this is asked for each block: what costs least is looked at first.
        lanes = (self._lanes.get(job_id, partition) for job_id in job_ids)
        starved = (lane for lane in lanes if lane is not None and self._is_starved(lane, each))
        if near is not None:
            return list(islice(starved, 1))
        return heapq.nsmallest(FED_TOGETHER, starved, key=lambda lane: len(lane.ready))

    def _is_starved(self, lane: Lane, each: int) -> bool:
        """Whether the lane has hardly any of the `each` blocks in memory that it may have, and more in the log; and
        still has work here."""
        if not (lane.parked and len(lane.ready) <= each // 2 and lane.wanted(each) is not None):
            return False
        job = self._jobs.get(lane.job_id)
        return job is not None and self._lanes.may_work(job) and self._lanes.get(lane.job_id, lane.partition) is lane

    async def _feed(self, lane: Lane) -> None:
        wanted = lane.wanted(self._room.each())
        if wanted is None:
            return
        partition = lane.partition
        self._room.make()
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
            owner = self._lanes.get(head.job_id, partition)
            if owner is None or owner.run != head.run:
                continue
            if owner is lane and offset <= last:
                found.add(offset)
            elif not self._wants(owner, offset):
                continue
            self._room.met(len(value))
            self._room.moved()
            owner.refill(Loaded(offset, head.block, value, head.first_row))
        for offset in range(first, last + 1):  # `read` has passed all of them
            if offset not in found:
                lane.forget(offset)
        self._on_loaded()

    def _wants(self, lane: Lane, offset: int) -> bool:
        """Whether a block that came along is the next one that this lane wants."""
        job = self._jobs.get(lane.job_id)
        if job is None or not self._lanes.may_work(job) or not self._room.has(job.id):
            return False
        wanted = lane.wanted(self._room.each())
        return wanted is not None and wanted[0] == offset
