"""One lane through deliveries, repeats, pauses, failures and crashes: each block is counted exactly once."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import processor.lanes.lane as lane_module
from processor.lanes.lane import Lane, Loaded, Memory
from processor.outcome import Outcome
from schemas.messages.codec import decode, encode
from schemas.messages.lanes import LaneRecord

PARTITIONS = 3
ROOM = st.integers(0, 5)


def outcome(place: int) -> Outcome:
    return Outcome(applied=3, failed=place % 2, last_row=(place + 1) * 4)


class LaneLife(RuleBasedStateMachine):
    """The log of one partition, the lane of one job on it, and its worker, which may die at any moment.

    A record of the log is a place (the job's n-th block here) or None, a record of another job.
    """

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(lane_module, "MAX_EXTENTS", 3)
        self.log: list[int | None] = []
        self.memory = Memory()
        self.lane = self.counted(Lane("j1", 1, PARTITIONS))
        self.durable: bytes | None = None
        self.met = 0
        """Offset that Kafka delivers next."""
        self.committed = 0
        """Offset it begins with after a crash."""
        self.applied_by_anyone: set[int] = set()
        self.flying: list[Loaded] = []
        self.disturbed = False
        self.order: list[int] = []

    def teardown(self) -> None:
        """In calm weather all of it gets done, and is counted once."""
        self.land(count=99)
        while self.met < len(self.log):
            self.deliver(5)
        for _ in range(4 * len(self.log) + 4):
            self.read_again(room=5)
            self.take(count=4)
            self.land(count=99)
        places = {place for place in self.log if place is not None}
        assert set(self.lane.applied) == places and self.lane.done(len(places))
        assert list(self.lane.todo) == []
        totals = self.lane.totals
        assert totals.blocks == len(places)
        assert totals.rows_applied == 3 * len(places)
        assert totals.rows_failed == sum(place % 2 for place in places)
        assert totals.last_row == max(((place + 1) * 4 for place in places), default=0)
        if not self.disturbed:
            assert self.order == sorted(self.order)
        self.patch.undo()

    def loaded(self, offset: int) -> Loaded | None:
        place = self.log[offset]
        return None if place is None else Loaded(offset, place * PARTITIONS + 1, b"%d" % place)

    # -- the log -----------------------------------------------------------------------------------------------------

    @initialize(count=st.integers(1, 8))
    def some_blocks(self, count: int) -> None:
        self.log += range(count)

    @rule(foreign=st.integers(0, 4), blocks=st.integers(1, 4))
    def blocks_are_published(self, foreign: int, blocks: int) -> None:
        self.log += [None] * foreign
        first = max((place for place in self.log if place is not None), default=-1) + 1
        self.log += range(first, first + blocks)

    @precondition(lambda self: any(place is not None for place in self.log))
    @rule(data=st.data())
    def a_block_is_published_twice(self, data: st.DataObject) -> None:
        self.log.append(data.draw(st.sampled_from([place for place in self.log if place is not None])))

    # -- the worker --------------------------------------------------------------------------------------------------

    @rule(room=ROOM, count=st.integers(1, 6))
    def deliver_some(self, room: int, count: int) -> None:
        for _ in range(min(count, len(self.log) - self.met)):
            self.deliver(room)

    def deliver(self, room: int) -> None:
        loaded = self.loaded(self.met)
        self.met += 1
        if loaded is not None:
            before = self.in_memory()
            self.lane.meet(loaded, room)
            assert self.in_memory() <= max(before, room)

    @rule(room=ROOM)
    def read_again(self, room: int) -> None:
        wanted = self.lane.wanted(room)
        if wanted is None:
            return
        first, last = wanted
        assert first <= last
        assert first not in self.offsets_in_memory(), "it would be read for nothing"
        for offset in range(first, last + 1):
            loaded = self.loaded(offset)
            if loaded is None:
                self.lane.forget(offset)
            else:
                self.lane.refill(loaded)
        assert self.in_memory() <= room

    @rule(count=st.integers(1, 4))
    def take(self, count: int) -> None:
        for _ in range(count):
            loaded = self.lane.take()
            if loaded is None:
                return
            assert all(loaded.offset != other.offset for other in self.flying)
            self.flying.append(loaded)
            self.order.append(loaded.offset)

    @rule(count=st.integers(1, 3))
    def land(self, count: int) -> None:
        for loaded in self.flying[:count]:
            place = int(loaded.value)
            self.applied_by_anyone.add(place)
            self.lane.settle(loaded, outcome(place))
        del self.flying[:count]

    @rule(count=st.integers(1, 4))
    def requests_are_fenced_off(self, count: int) -> None:
        self.lane.put_back(self.flying[:count])
        self.disturbed |= bool(self.flying)
        del self.flying[:count]

    @rule()
    def pause(self) -> None:
        self.lane.unload()

    @rule(acknowledge=st.booleans())
    def checkpoint(self, acknowledge: bool) -> None:
        """The record is written; the worker may die before what it covers is acknowledged."""
        self.durable = encode(self.lane.record(at=1))
        if acknowledge:
            self.committed = self.met

    @rule(applied_before=st.booleans())
    def crash(self, applied_before: bool) -> None:
        """The successor has the record and what Kafka delivers again. A request in flight may have been carried out."""
        if applied_before:
            self.applied_by_anyone.update(int(loaded.value) for loaded in self.flying)
        self.disturbed = True
        self.flying = []
        self.met = self.committed
        lane = Lane("j1", 1, PARTITIONS)
        if self.durable is not None:
            lane = Lane.restored(decode(self.durable, LaneRecord))
        self.lane = self.counted(lane)

    def counted(self, lane: Lane) -> Lane:
        """A lane that begins, of another worker perhaps."""
        self.memory = Memory()
        lane.count_in(self.memory)
        return lane

    # -- what must always be true ------------------------------------------------------------------------------------

    def offsets_in_memory(self) -> set[int]:
        return {item.offset for item in self.lane.ready} | set(self.lane.flying)

    def in_memory(self) -> int:
        return len(self.offsets_in_memory())

    @invariant()
    def nothing_is_lost(self) -> None:
        """A block that has been met is applied, or still to do at one of its offsets."""
        for offset in range(self.met):
            place = self.log[offset]
            if place is not None:
                assert place in self.lane.applied or offset in self.lane.todo

    @invariant()
    def nothing_is_in_memory_twice(self) -> None:
        offsets = [item.offset for item in self.lane.ready]
        assert len(offsets) == len(set(offsets))
        assert not set(offsets) & set(self.lane.flying)
        assert set(offsets) | set(self.lane.flying) <= set(self.lane.todo)

    @invariant()
    def what_is_in_memory_is_counted(self) -> None:
        ready = {"j1": len(self.lane.ready)} if self.lane.ready else {}
        assert (self.memory.blocks, self.memory.ready) == (self.in_memory(), ready)

    @invariant()
    def only_what_was_carried_out_is_counted(self) -> None:
        assert set(self.lane.applied) <= self.applied_by_anyone
        assert self.lane.totals.blocks == len(self.lane.applied)


TestLaneLife = LaneLife.TestCase
TestLaneLife.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
