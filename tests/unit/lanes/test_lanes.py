"""All lanes of a worker: which block goes where, what is of no use any more, what is to be reported."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from control.predicates import quiescing, runnable, void
from processor.lanes.lane import Lane, Loaded
from processor.lanes.owned_lanes import Lanes
from processor.outcome import Outcome
from schemas.job import Input, Job, LaneTotals, RestedLane, State
from schemas.messages.blocks import BlockHead
from tests.support.in_memory.control import world_in

ONE = Outcome(applied=5, last_row=5)


def head(run: int = 0, block: int = 0) -> BlockHead:
    return BlockHead(kind="rows", job_id="j1", block=block, first_row=1, run=run)


def lanes(*owned: int) -> Lanes:
    return Lanes(owned=frozenset(owned))


def obtained(lanes: Lanes, partition: int = 0, run: int = 0) -> Lane:
    lane = lanes.obtain(head(run), partition, 2)
    assert lane is not None
    return lane


def settle_one(lane: Lane, block: int = 0) -> None:
    loaded = Loaded(block, block, b"")
    lane.meet(loaded, 9)
    assert lane.take() is loaded
    lane.settle(loaded, ONE)


# -- what a job's state means for a worker ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
def test_only_running_and_rolling_back_let_work_go_on(state: State) -> None:
    job = world_in(state).job()
    assert runnable(job) is (state in (State.RUNNING, State.ROLLING_BACK))


def test_a_rollback_that_is_to_pause_or_being_counted_lets_no_work_go_on() -> None:
    job = world_in(State.ROLLING_BACK).job()
    assert not runnable(replace(job, halting=True)) and quiescing(replace(job, halting=True))
    assert not runnable(replace(job, checking=True))


@pytest.mark.parametrize("state", State)
def test_proof_is_wanted_where_the_control_agent_waits_for_it(state: State) -> None:
    wanted = state in (State.PAUSING, State.TERMINATING, State.FAILED)
    assert quiescing(world_in(state).job()) is wanted


VOID = {
    State.TERMINATING,
    State.TERMINATED,
    State.COMPLETED,
    State.COMPLETED_WITH_ERRORS,
    State.ROLLED_BACK,
}


@pytest.mark.parametrize("state", State)
def test_a_block_is_dropped_when_its_run_is_over(state: State) -> None:
    job = world_in(state).job()
    assert void(job, head(job.run)) is (state in VOID)
    assert void(job, head(job.run - 1)), "of an earlier run"
    assert not void(job, head(job.run + 1)), "of a run that this worker has not heard of yet"


# -- lanes by run ----------------------------------------------------------------------------------------------------


def test_a_newer_run_begins_a_lane_anew_and_an_older_block_is_refused() -> None:
    mine = lanes(0)
    first = obtained(mine)
    assert obtained(mine) is first
    second = obtained(mine, run=1)
    assert (second.phase, second.run) == ("apply", 1), "rows of a retry"
    third = mine.obtain(replace(head(0), kind="undo", run=2), 0, 2)
    assert third is not None and (third.phase, third.run) == ("undo", 2)
    assert mine.obtain(head(0), 0, 2) is None
    assert list(mine.of("j1")) == [third]


def test_of_two_records_of_a_lane_the_newer_run_counts_in_either_order() -> None:
    old, new = Lane("j1", 0, 2), Lane("j1", 0, 2, "undo", 1)
    for order in ((old, new), (new, old)):
        mine = lanes(0)
        for lane in order:
            mine.put(lane)
        assert mine.get("j1", 0) is new


def test_lanes_of_a_run_that_the_table_does_not_show_yet_outlive_the_end_of_the_one_before() -> None:
    mine = lanes(0, 1)
    ended, retried = obtained(mine, 0), obtained(mine, 1, run=1)
    assert mine.drop_job("j1", 0) == [ended]
    assert list(mine.of("j1")) == [retried]


def test_a_job_that_is_over_has_its_lanes_dropped_and_the_others_keep_theirs() -> None:
    mine = lanes(0, 1)
    gone = {obtained(mine, 0), obtained(mine, 1)}
    other = Lane("j2", 0, 2)
    mine.put(other)
    assert set(mine.drop_job("j1")) == gone
    assert mine.drop_job("j1") == []
    assert list(mine) == [other]
    mine.clear()
    assert not list(mine) and not mine.owned


# -- rested ----------------------------------------------------------------------------------------------------------


def pausing() -> Job:
    return world_in(State.PAUSING).job()


def test_a_lane_with_something_in_flight_has_not_stopped() -> None:
    mine, job = lanes(0), pausing()
    lane = obtained(mine)
    loaded = Loaded(0, 0, b"")
    lane.meet(loaded, 9)
    lane.take()
    assert mine.rested(job, set()) == {}
    lane.settle(loaded, ONE)
    assert mine.rested(job, set()) == {0: lane.rested(job.epoch)}
    assert mine.rested(job, set())[0].totals.rows_applied == 5


def test_a_partition_where_the_job_never_was_has_stopped() -> None:
    job = pausing()
    assert lanes(1).rested(job, set()) == {1: RestedLane(epoch=job.epoch, totals=LaneTotals())}


def test_only_own_partitions_of_the_job_that_nobody_has_reported_are_reported() -> None:
    job = replace(pausing(), partitions=4, lanes_rested={0: RestedLane(epoch=2, totals=LaneTotals())})
    assert set(lanes(0, 1, 2, 9).rested(job, reported={1})) == {2}


def test_a_partition_taken_over_from_a_worker_that_may_still_write_proves_nothing_yet() -> None:
    mine = lanes(0, 1)
    mine.unquiesced.add(0)
    assert set(mine.rested(pausing(), set())) == {1}
    mine.unquiesced.clear()
    assert set(mine.rested(pausing(), set())) == {0, 1}


def test_what_an_earlier_run_did_on_a_lane_is_no_part_of_the_proof() -> None:
    mine = lanes(0)
    settle_one(obtained(mine))
    job = replace(world_in(State.ROLLING_BACK).job(), halting=True)
    assert mine.rested(job, set())[0].totals == LaneTotals()


# -- done ------------------------------------------------------------------------------------------------------------


def ended(*blocks: int) -> Job:
    job = world_in(State.RUNNING).job()
    return replace(job, input=Input(blocks=sum(blocks), ended=True, blocks_per_partition=blocks))


def test_a_lane_is_done_with_all_its_blocks_once_the_reader_has_said_how_many() -> None:
    mine = lanes(0, 1)
    lane = obtained(mine)
    settle_one(lane)
    assert mine.done(world_in(State.RUNNING).job(), set()) == {}
    assert mine.done(ended(2, 0), set()) == {}
    settle_one(lane, block=2)
    assert mine.done(ended(2, 0), set()) == {0: lane.totals}
    assert lane.totals.blocks == 2


def test_a_lane_is_reported_done_once() -> None:
    mine, job = lanes(0), ended(1, 0)
    settle_one(obtained(mine))
    assert mine.done(job, reported={0}) == {}
    assert mine.done(replace(job, lanes_done={0: LaneTotals()}), set()) == {}


def test_a_lane_of_an_earlier_run_is_not_done_with_the_rollback() -> None:
    mine = lanes(0)
    settle_one(obtained(mine))
    job = world_in(State.ROLLING_BACK).job()
    job = replace(job, undo_input=Input(blocks=1, ended=True, blocks_per_partition=(1, 0)))
    assert mine.done(job, set()) == {}


# -- row errors with a limit -----------------------------------------------------------------------------------------


def test_counts_are_reported_until_the_control_table_has_them() -> None:
    known = lanes(0, 1)
    settle_one(obtained(known))
    obtained(known, partition=1)
    job = world_in(State.RUNNING, max_errors="5%").job()
    totals = LaneTotals(rows_applied=5, blocks=1, last_row=5)
    assert known.counts(job) == {0: totals}, "a lane that has done nothing has nothing to report"
    assert known.counts(replace(job, lanes_counted={0: totals})) == {}


@pytest.mark.parametrize("change", [{"budget": "spent"}, {"budget": "waived"}, {"phase": "undo"}])
def test_counts_of_a_job_that_nobody_judges_are_not_reported(change: dict[str, Any]) -> None:
    known = lanes(0)
    settle_one(obtained(known))
    assert known.counts(world_in(State.RUNNING).job()) == {}, "it has no limit"
    assert known.counts(replace(world_in(State.RUNNING, max_errors=5).job(), **change)) == {}
