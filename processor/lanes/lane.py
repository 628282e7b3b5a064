"""A lane: one job on one partition. What is applied, what is still to do, what is in memory. No I/O, no clock.

Every block that is met becomes part of `todo`, by its offset, and leaves it when it has been applied. What a worker
holds in memory (`ready`, `flying`) is only a cache of what the log still has, so that a crash, a pause or a full
memory all come to the same: the block is read again from its offset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from processor.outcome import Outcome
from schemas.descriptors.intervals import IntervalSet, merged
from schemas.job import LaneTotals, Phase, RestedLane
from schemas.messages.lanes import LaneRecord

MAX_EXTENTS = 2000
"""Extents in a record, at most; beyond that the nearest are joined, at the cost of reading foreign blocks again."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A block in memory, still encoded."""

    offset: int
    block: int
    value: bytes
    first_row: int = 0


@dataclass(slots=True, eq=False)
class Memory:
    """What the blocks that some lanes have in memory take up, those in flight included."""

    blocks: int = 0
    bytes: int = 0
    ready: dict[str, int] = field(default_factory=dict)
    """Job id -> blocks in memory that are not in flight; jobs that have none are not in it."""

    def add(self, blocks: int, size: int) -> None:
        """Note that there are so many blocks more, or fewer."""
        self.blocks += blocks
        self.bytes += size

    def add_ready(self, job_id: str, blocks: int) -> None:
        """Note that so many blocks of the job more, or fewer, are in memory and not in flight."""
        ready = self.ready.get(job_id, 0) + blocks
        if ready:
            self.ready[job_id] = ready
        else:
            self.ready.pop(job_id, None)


class Lane:
    """One job's run on one partition. The job's blocks here are those with ``block % partitions == partition``."""

    def __init__(self, job_id: str, partition: int, partitions: int, phase: Phase = "apply", run: int = 0) -> None:
        self.job_id = job_id
        self.partition = partition
        self.partitions = partitions
        self.phase: Phase = phase
        self.run = run
        self.totals = LaneTotals()
        self.reported = LaneTotals()
        self.recorded = LaneTotals()
        """The totals of the last checkpoint."""
        self.applied = IntervalSet()
        self.todo = IntervalSet()
        self.ready: deque[Loaded] = deque()
        self.flying: dict[int, Loaded] = {}
        self.last_offset = -1
        self.error: str | None = None
        self._loaded: dict[int, int] = {}
        """Offset -> bytes of each block in memory."""
        self._memory = Memory()
        self._next_row: int | None = None
        """The first row of the next block, if that is not in memory and is known."""

    @classmethod
    def restored(cls, record: LaneRecord) -> Lane:
        """The lane as its record left it; nothing is in memory yet."""
        lane = cls(record.job_id, record.partition, record.partitions, record.phase, record.run)
        lane.totals = lane.reported = lane.recorded = record.totals
        lane.applied = IntervalSet(record.applied)
        lane.todo = IntervalSet((first, last) for first, last, _ in record.todo)
        lane.last_offset = record.last_offset
        return lane

    def record(self, at: int) -> LaneRecord:
        """The checkpoint to write; `at` in milliseconds since 1970."""
        extents, gap = self.todo.intervals(), 0
        while len(extents) > MAX_EXTENTS:
            gap = gap * 2 + 1
            extents = merged(extents, gap)
        return LaneRecord(
            job_id=self.job_id,
            partition=self.partition,
            partitions=self.partitions,
            phase=self.phase,
            run=self.run,
            totals=self.totals,
            applied=tuple(self.applied.intervals()),
            todo=tuple((first, last, last - first + 1) for first, last in extents),
            last_offset=self.last_offset,
            at=at,
            error=self.error,
        )

    def adopt(self, partitions: int) -> None:
        """Learn how many partitions the job has: before its state is known, nothing can be applied."""
        if not self.applied:
            self.partitions = partitions

    def take_unreported(self) -> LaneTotals:
        """What has been counted since the last call, or since the lane's record was read."""
        added, self.reported = self.totals.since(self.reported), self.totals
        return added

    def rested(self, epoch: int) -> RestedLane:
        """Proof for the control agent that nothing of this lane is in flight in `epoch`."""
        return RestedLane(epoch=epoch, totals=self.totals, last_offset=self.last_offset, parked_blocks=len(self.todo))

    def meet(self, loaded: Loaded, room: int) -> bool:
        """Take note of a block met in the log, and keep it in memory if fewer than `room` are there.

        Returns:
            False: it is known, or applied already: Kafka delivers again after a rebalance.
        """
        self.last_offset = max(self.last_offset, loaded.offset)
        if loaded.offset in self.todo or self._place(loaded.block) in self.applied:
            return False
        # A block behind older work that is not in memory has to wait, so that a lane goes forward in the log's order.
        in_order = len(self.todo) == len(self._loaded)
        self.todo.add(loaded.offset)
        if in_order and len(self._loaded) < room:
            self._load(loaded)
        elif in_order and not self.ready:
            self._next_row = loaded.first_row
        return True

    def refill(self, loaded: Loaded) -> None:
        """Take a block that was read again. An applied one only leaves `todo`; and one that is not the next to be read
        is not taken, since the lane has given up earlier ones meanwhile.
        """
        if loaded.offset not in self.todo or loaded.offset in self._loaded:
            return
        if self._place(loaded.block) in self.applied:
            self.todo.discard(loaded.offset)
        elif self._next_parked() == loaded.offset:
            self._load(loaded)

    def forget(self, offset: int) -> None:
        """Forget an offset that is not one of the job's: a joined extent covered it."""
        self.todo.discard(offset)

    def wanted(self, room: int) -> tuple[int, int] | None:
        """The next extent (first, last offset) to read again, while fewer than `room` blocks are in memory."""
        free = room - len(self._loaded)
        offset = self._next_parked() if free > 0 and self.parked else None
        if offset is None:
            return None
        last = next(last for first, last in merged(self.todo.intervals(), 1) if first <= offset <= last)
        return offset, min(last, offset + free - 1)

    def _next_parked(self) -> int | None:
        return next((offset for offset in self.todo if offset not in self._loaded), None)

    @property
    def parked(self) -> bool:
        """Whether there are blocks to do that are not in memory."""
        return len(self._loaded) < len(self.todo)

    @property
    def waiting(self) -> int:
        """Blocks to do that are not in flight, in memory or not."""
        return len(self.todo) - len(self.flying)

    def may_have_next(self, within: int | None = None) -> bool:
        """Whether `take` has a block to look at, or might have one if the next blocks were in memory."""
        if self.ready or not self.parked:
            return self.has_next(within)
        return within is None or self._next_row is None or self._next_row <= within

    @property
    def fresh(self) -> bool:
        """Whether nothing has been counted yet, and every block that has come is in memory."""
        return self.totals == LaneTotals() and not self.parked

    def has_next(self, within: int | None = None) -> bool:
        """Whether `take` has a block to look at."""
        return bool(self.ready) and (within is None or self.ready[0].first_row <= within)

    def take(self, within: int | None = None) -> Loaded | None:
        """The next block to apply, from memory; it is in flight from now on. It begins within the first `within` rows.

        The first block of the job on a partition lies in front of the others: those behind it need not be looked at.
        """
        while self.has_next(within):
            loaded = self.ready.popleft()
            self._memory.add_ready(self.job_id, -1)
            if self._place(loaded.block) not in self.applied:
                self.flying[loaded.offset] = loaded
                return loaded
            self._drop(loaded.offset)  # published twice, and the other one was applied meanwhile
        return None

    def settle(self, loaded: Loaded, outcome: Outcome) -> None:
        """The block has been applied. However often that happens, it counts once."""
        self.flying.pop(loaded.offset, None)
        self._drop(loaded.offset)
        if self.applied.add(self._place(loaded.block)):
            self.totals = self.totals + _totals(outcome)

    def put_back(self, blocks: Iterable[Loaded]) -> None:
        """Blocks that were taken but not applied have their places again, those of several batches too.

        Those behind one that the lane has given up meanwhile are to be read again after it.
        """
        again = list(blocks)
        for loaded in again:
            self.flying.pop(loaded.offset, None)
        ready = sorted([*again, *self.ready], key=lambda item: item.offset)
        parked = self._next_parked()
        kept = len(ready) if parked is None else sum(item.offset < parked for item in ready)
        self._forget_values(ready[kept:])
        self._memory.add_ready(self.job_id, kept - len(self.ready))
        self.ready = deque(ready[:kept])

    def unload(self) -> None:
        """Drop the blocks that are in memory and not in flight: the log still has them."""
        if self.ready:
            self._next_row = self.ready[0].first_row
        self._forget_values(self.ready)
        self._memory.add_ready(self.job_id, -len(self.ready))
        self.ready.clear()

    def count_in(self, memory: Memory) -> None:
        """Have what the lane has in memory, now and later, counted there and nowhere else."""
        blocks, size = len(self._loaded), sum(self._loaded.values())
        self._memory.add(-blocks, -size)
        self._memory.add_ready(self.job_id, -len(self.ready))
        self._memory = memory
        memory.add(blocks, size)
        memory.add_ready(self.job_id, len(self.ready))

    def done(self, blocks: int) -> bool:
        """Whether all of the job's `blocks` on this partition are applied."""
        return len(self.applied) >= blocks

    def _place(self, block: int) -> int:
        return block // self.partitions

    def _load(self, loaded: Loaded) -> None:
        self._loaded[loaded.offset] = len(loaded.value)
        self._memory.add(1, len(loaded.value))
        self._memory.add_ready(self.job_id, 1)
        self._next_row = None
        self.ready.append(loaded)

    def _forget_values(self, blocks: Iterable[Loaded]) -> None:
        for loaded in blocks:
            self._memory.add(-1, -self._loaded.pop(loaded.offset))

    def _drop(self, offset: int) -> None:
        size = self._loaded.pop(offset, None)
        if size is not None:
            self._memory.add(-1, -size)
        self.todo.discard(offset)


def _totals(outcome: Outcome) -> LaneTotals:
    return LaneTotals(
        rows_applied=outcome.applied,
        rows_failed=outcome.failed,
        rows_undone=outcome.undone,
        blocks=1,
        last_row=outcome.last_row,
        rows_created=outcome.created,
        rows_updated=outcome.updated,
        rows_unchanged=outcome.unchanged,
        rows_deleted=outcome.deleted,
        rows_conflicting=outcome.conflicting,
        rows_missing=outcome.missing,
        rows_restored=outcome.restored,
        rows_kept=outcome.kept,
        rows_not_restored=outcome.not_restored,
    )
