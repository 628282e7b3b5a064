"""A lane: what is met, taken, settled, put back, released, read again, and brought back after a crash."""

from __future__ import annotations

import pytest

import processor.lanes.lane as lane_module
from processor.lanes.lane import Lane, Loaded
from processor.outcome import Outcome
from schemas.job import LaneTotals, RestedLane

PARTITIONS = 2
GOOD = Outcome(applied=4, failed=1, last_row=5)


def block(offset: int, number: int | None = None) -> Loaded:
    """Block `number` (default: the one numbered as the offset) of partition 0."""
    return Loaded(offset, PARTITIONS * (offset if number is None else number), b"block")


def lane_with(*offsets: int, room: int = 99) -> Lane:
    lane = Lane("j1", 0, PARTITIONS)
    for offset in offsets:
        assert lane.meet(block(offset), room)
    return lane


def drain(lane: Lane) -> list[int]:
    """Take and settle everything in memory; the offsets in the order they came."""
    offsets = []
    while loaded := lane.take():
        offsets.append(loaded.offset)
        lane.settle(loaded, GOOD)
    return offsets


def test_blocks_are_applied_in_the_order_of_the_log_and_counted() -> None:
    lane = lane_with(3, 5, 8)
    assert drain(lane) == [3, 5, 8]
    assert lane.totals == LaneTotals(rows_applied=12, rows_failed=3, blocks=3, last_row=5)
    assert not lane.todo and lane.done(3) and not lane.done(4)


def test_in_a_probe_blocks_that_begin_behind_its_rows_wait() -> None:
    lane = Lane("j1", 0, PARTITIONS)
    for offset, first_row in ((3, 1), (5, 501), (8, 1001)):
        lane.meet(Loaded(offset, PARTITIONS * offset, b"block", first_row), 99)
    taken = [lane.take(1000), lane.take(1000)]
    assert [loaded.offset for loaded in taken if loaded] == [3, 5]
    assert lane.take(1000) is None and not lane.has_next(1000)
    assert lane.has_next() and lane.take() is not None


def test_a_block_that_kafka_delivers_again_is_known() -> None:
    lane = lane_with(3)
    assert not lane.meet(block(3), 99)
    loaded = lane.take()
    assert loaded is not None and not lane.meet(block(3), 99), "in flight"
    lane.settle(loaded, GOOD)
    assert not lane.meet(block(3), 99), "applied"
    assert lane.take() is None


def test_a_block_published_twice_under_other_offsets_counts_once() -> None:
    lane = lane_with(3)
    lane.meet(block(9, number=3), 99)
    assert drain(lane) == [3]
    assert lane.totals.blocks == 1
    assert not lane.todo and not lane.meet(block(12, number=3), 99)


def test_a_block_in_flight_twice_counts_once() -> None:
    lane = lane_with(3)
    lane.meet(block(9, number=3), 99)
    one, other = lane.take(), lane.take()
    assert one and other
    lane.settle(one, GOOD)
    lane.settle(other, GOOD)
    assert lane.totals == LaneTotals(rows_applied=4, rows_failed=1, blocks=1, last_row=5)


def test_no_more_is_kept_in_memory_than_there_is_room_for() -> None:
    lane = lane_with(1, 2, 3, 4, room=2)
    assert [item.offset for item in lane.ready] == [1, 2]
    assert list(lane.todo) == [1, 2, 3, 4], "the others are parked: Kafka has them"


def test_a_lane_is_fresh_until_something_is_counted_or_parked() -> None:
    lane = lane_with(3, 5)
    assert lane.fresh and not lane.parked
    loaded = lane.take()
    assert loaded is not None and lane.fresh
    lane.settle(loaded, GOOD)
    assert not lane.fresh and not lane.parked
    crowded = lane_with(3, 5, room=1)
    assert crowded.parked and not crowded.fresh


def test_without_room_everything_is_parked() -> None:
    lane = lane_with(1, 2, room=0)
    assert lane.take() is None
    assert lane.wanted(8) == (1, 2)


def test_a_block_behind_parked_ones_waits_for_them() -> None:
    lane = lane_with(1, 2, room=1)
    drain(lane)
    lane.meet(block(3), 99)
    assert lane.take() is None
    for offset in (2, 3):
        lane.refill(block(offset))
    assert drain(lane) == [2, 3]


def test_what_could_not_be_applied_goes_to_the_front_again() -> None:
    lane = lane_with(1, 2, 3)
    taken = [lane.take(), lane.take()]
    lane.put_back(item for item in reversed(taken) if item)
    assert drain(lane) == [1, 2, 3]


def test_letting_go_of_memory_loses_nothing_and_leaves_what_is_in_flight() -> None:
    lane = lane_with(1, 2, 3)
    flying = lane.take()
    assert flying is not None
    lane.unload()
    assert lane.take() is None
    assert lane.wanted(8) == (2, 3)
    lane.settle(flying, GOOD)
    lane.refill(block(2))
    lane.refill(block(3))
    assert drain(lane) == [2, 3]


def test_only_as_much_is_wanted_as_there_is_room_for() -> None:
    lane = lane_with(*range(10), room=2)
    assert lane.wanted(2) is None
    assert lane.wanted(5) == (2, 4)
    assert lane.wanted(99) == (2, 9)


def test_what_is_wanted_may_span_one_record_of_another_job_but_not_many() -> None:
    lane = lane_with(4, 6, 9, room=0)
    assert lane.wanted(99) == (4, 6)
    for offset in (4, 5, 6):
        lane.refill(block(offset)) if offset != 5 else lane.forget(offset)
    assert lane.wanted(99) == (9, 9)


def test_a_block_that_is_read_again_twice_is_there_once() -> None:
    lane = lane_with(1, room=0)
    lane.refill(block(1))
    lane.refill(block(1))
    assert drain(lane) == [1]


def test_a_block_that_was_applied_meanwhile_is_not_applied_when_it_is_read_again() -> None:
    lane = lane_with(1)
    lane.meet(block(5, number=1), 0)
    drain(lane)
    lane.refill(block(5, number=1))
    assert lane.take() is None and not lane.todo


def test_the_record_brings_the_lane_back() -> None:
    lane = lane_with(1, 2, 3, 7, 8)
    for _ in range(2):
        loaded = lane.take()
        assert loaded
        lane.settle(loaded, GOOD)
    lane.take()
    lane.error = "Elasticsearch is not answering"
    record = lane.record(at=17)
    assert (record.applied, record.todo, record.at) == (((1, 2),), ((3, 3, 1), (7, 8, 2)), 17)
    assert (record.last_offset, record.error) == (8, "Elasticsearch is not answering")
    again = Lane.restored(record)
    assert again.totals == lane.totals
    assert again.take() is None, "nothing is in memory"
    assert not any(again.meet(block(offset), 99) for offset in (1, 2, 3, 7, 8)), "all of it is known"
    assert again.wanted(99) == (3, 3)


def test_a_lane_proves_its_rest_with_what_it_has_done_and_parked() -> None:
    lane = lane_with(1, 2, 3)
    loaded = lane.take()
    assert loaded
    lane.settle(loaded, GOOD)
    lane.unload()
    assert lane.rested(7) == RestedLane(epoch=7, totals=lane.totals, last_offset=3, parked_blocks=2)


def test_too_many_extents_are_joined_and_what_does_not_belong_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "MAX_EXTENTS", 3)
    own = [0, 2, 5, 9, 20, 22, 40]
    again = Lane.restored(lane_with(*own, room=0).record(at=1))
    assert len(again.record(at=1).todo) <= 3
    assert set(own) <= set(again.todo)
    applied: list[int] = []
    while (wanted := again.wanted(4)) is not None:
        for offset in range(wanted[0], wanted[1] + 1):
            again.refill(block(offset)) if offset in own else again.forget(offset)
        applied += drain(again)
    assert applied == own
    assert not again.todo and again.totals.blocks == len(own)


def test_blocks_that_come_before_their_jobs_state_have_places_of_their_own() -> None:
    """How many partitions the job has is not known then, and two blocks must never be taken for one."""
    lane = Lane("j1", 0, 1)
    for offset in (3, 4, 5):
        assert lane.meet(block(offset), 99)
    lane.adopt(PARTITIONS)
    assert drain(lane) == [3, 4, 5] and lane.done(3)
    assert lane.record(0).applied == ((3, 5),) and lane.record(0).partitions == PARTITIONS
    lane.adopt(7)
    assert lane.partitions == PARTITIONS
