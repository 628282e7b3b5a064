"""How many blocks each lane may have in memory: of few lanes many, of many lanes only those whose turn is near.

What a worker has in memory is a cache of what the log still has, and memory is bounded however many jobs are at work.
As long as each lane can have `LEAST_BLOCKS`, all lanes share the room alike. Beyond that the jobs whose turns come next
have room, and the lanes of the last ones give up theirs. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from control.jobtable import JobTable
from processor.lanes.owned_lanes import Lanes

ROOM_BLOCKS = 1024
"""Blocks that a worker's lanes share, in memory. What finds no room is read from Kafka a second time."""
ROOM_BYTES = 64 * 1024 * 1024
"""Bytes that these blocks may take up; large blocks reach this bound first."""
LEAST_BLOCKS = 2
"""A lane that has room has it for so many: the next one is there while one is in flight."""
REMEMBERED = 64
"""Blocks over which the exponential mean of their size is taken."""
COUNTED_AGAIN = 8
"""The lanes at work are counted again after a share of 1 / `COUNTED_AGAIN` of as many questions as there were lanes:
else many jobs at once would count each other all the time."""


class Room:
    """Shares the room in memory among the lanes of one worker."""

    def __init__(
        self, jobs: JobTable, lanes: Lanes, lane_blocks: int, order: Callable[[], tuple[Sequence[str], int]]
    ) -> None:
        """`lane_blocks`: those of one lane, at most. `order`: as `Scheduler.order`, at this moment."""
        self._jobs = jobs
        self._lanes = lanes
        self._lane_blocks = lane_blocks
        self._order = order
        self._mean_bytes = 0.0
        self._active = 1
        self._near: dict[str, None] | None = None
        self._far: list[str] = []
        self._questions = self._moves = 0
        """How many questions, or moves of blocks, what was found last is good for."""
        self.on_other: Callable[[], None] = lambda: None
        """Called when other jobs than before have room."""

    def met(self, size: int) -> None:
        """Take note of a block's size, in bytes."""
        self._mean_bytes += (size - self._mean_bytes) / REMEMBERED

    def moved(self) -> None:
        """A block was taken, or was read into memory: turns have changed."""
        self._moves -= 1

    def changed(self, job_id: str) -> None:
        """A job has another state."""
        if self._near is not None and (job_id in self._near or self._moves <= 0):
            self._questions = 0

    def look_again(self) -> None:
        """Go by what is so now, from the next question on."""
        self._questions = 0

    @property
    def scarce(self) -> bool:
        """Whether not all lanes have room."""
        return self._near is not None

    def each(self) -> int:
        """Blocks that a lane which has room may have in memory now: fewer, the more lanes are at work and the larger
        blocks are."""
        self._ask()
        return self._share()

    def of_new(self, job_id: str) -> int:
        """Blocks that a lane of this job may have in memory now, for one that has just come."""
        if self.has(job_id) or not self._full():
            return self._share()
        return 0

    def has(self, job_id: str) -> bool:
        """Whether the job's lanes have room."""
        self._ask()
        return self._near is None or job_id in self._near

    def near(self) -> Collection[str] | None:
        """The jobs that have room, the next one first; None: all have."""
        self._ask()
        return self._near

    def make(self) -> None:
        """Have lanes whose turn is far give up their blocks until memory is not full."""
        while self._far and self._full():
            for lane in self._lanes.of(self._far.pop()):
                lane.unload()

    def _full(self) -> bool:
        memory = self._lanes.memory
        return memory.bytes >= ROOM_BYTES or memory.blocks >= ROOM_BLOCKS

    def _ask(self) -> None:
        self._questions -= 1
        if self._questions < 0 or (self._near is not None and self._moves <= 0):
            self._look()

    def _most(self) -> int:
        return min(ROOM_BLOCKS, int(ROOM_BYTES / max(self._mean_bytes, 1.0)))

    def _share(self) -> int:
        shared = self._most() // self._active if self._near is None else 0
        return max(LEAST_BLOCKS, min(self._lane_blocks, shared))

    def _look(self) -> None:
        self._active = sum(len(lanes) for _, lanes in self._lanes.at_work(self._jobs.runnable())) or 1
        self._questions = self._active // COUNTED_AGAIN
        most = left = self._most()
        order, able = self._order()
        near: dict[str, None] = {}
        for job_id in order:
            wanted = sum(min(LEAST_BLOCKS, lane.waiting) for lane in self._lanes.of(job_id))
            if near and wanted > left:
                break
            near[job_id] = None
            left -= wanted
        before = self._near
        if len(near) == len(order):
            self._near, self._far = None, []
        else:
            self._near, self._far = near, list(order[len(near) :])
            # Half of what those that may have a turn want: until then the others behind them need no room.
            self._moves = max(1, min(able, len(near)) * (most - left) // (2 * len(near)))
        if self._near != before:
            self.on_other()
