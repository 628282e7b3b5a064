"""Life stories of jobs that are terminated or rolled back: until a count finds none of their rows."""

from __future__ import annotations

import pytest

from schemas.job import Input, LaneTotals, State
from schemas.messages.commands import LanesDone, UndoChecked
from schemas.messages.plans import UndoRows
from tests.control_world import SOME, World, at, world_in

NONE = LaneTotals()


def test_terminate_takes_the_rows_out_until_a_count_finds_none() -> None:
    world = World()
    world.create()
    world.terminate()
    world.rest(0, totals=LaneTotals(rows_applied=500, blocks=1, last_row=500))
    world.rest(1, totals=LaneTotals(rows_applied=300, blocks=1, last_row=1000))
    job = world.job()
    assert (job.state, job.phase, job.run, job.undo_rows) == (State.ROLLING_BACK, "undo", 1, 1000)
    assert job.applied == LaneTotals(rows_applied=800, blocks=2, last_row=1000)
    plan = world.plans[-1]
    assert isinstance(plan, UndoRows)
    assert (plan.last_row, plan.run, plan.epoch, plan.checkpoint) == (1000, 1, job.epoch, Input())

    world.complete(totals=LaneTotals(rows_undone=400, blocks=1, last_row=1000))
    assert world.state is State.ROLLING_BACK, "not before the count"
    world.check(remaining=3, last_row=1200)
    assert (world.job().run, world.job().undo_rows) == (2, 1200)
    plan = world.plans[-1]
    assert isinstance(plan, UndoRows)
    assert (plan.last_row, plan.run) == (1200, 2)

    world.complete(totals=LaneTotals(rows_undone=1, blocks=1, last_row=1200))
    world.check(remaining=1, last_row=40)
    assert world.job().undo_rows == 1200, "the range never shrinks"
    world.complete(totals=LaneTotals(rows_undone=1, blocks=1, last_row=1200))
    world.check(remaining=0)
    job = world.job()
    assert job.state is State.ROLLED_BACK
    assert job.undone is not None and job.undone.rows_undone == 804, "over all rounds"
    assert job.applied is not None and job.applied.rows_applied == 800


def test_rows_that_no_checkpoint_knows_of_are_counted_before_a_job_is_rolled_back() -> None:
    """A worker that dies between Elasticsearch's answer and its checkpoint leaves rows that are in no lane's totals."""
    world = world_in(State.TERMINATING)
    plans = len(world.plans)
    world.rest(totals=NONE)
    assert world.state is State.ROLLING_BACK
    assert len(world.plans) == plans, "there is no range to undo yet"
    world.check(remaining=500, last_row=500)
    assert (world.state, world.job().undo_rows) == (State.ROLLING_BACK, 500)
    plan = world.plans[-1]
    assert isinstance(plan, UndoRows) and plan.last_row == 500
    world.complete(totals=LaneTotals(rows_undone=250, blocks=1, last_row=500))
    world.check(remaining=0)
    assert world.state is State.ROLLED_BACK


def test_terminate_can_keep_the_rows_and_a_rollback_take_them_out_later() -> None:
    world = World()
    world.create()
    world.terminate(keep_rows=True)
    world.rest()
    job = world.job()
    assert (job.state, job.ended_at) == (State.TERMINATED, at(2))
    assert job.applied == SOME + SOME
    world.rollback()
    assert (world.state, world.job().undo_rows) == (State.ROLLING_BACK, SOME.last_row)
    world.complete()
    world.check(remaining=0)
    assert world.state is State.ROLLED_BACK


@pytest.mark.parametrize(("keep_rows", "end"), [(True, State.TERMINATED), (False, State.ROLLED_BACK)])
def test_a_queued_job_ends_at_once(keep_rows: bool, end: State) -> None:
    world = world_in(State.QUEUED)
    world.terminate(keep_rows=keep_rows)
    assert world.state is end
    assert all(plan.job_id != "j1" for plan in world.plans)


def test_a_paused_job_that_is_terminated_needs_no_second_proof() -> None:
    world = world_in(State.PAUSED)
    world.terminate(keep_rows=True)
    assert world.state is State.TERMINATED
    assert world.job().applied == SOME + SOME

    world = world_in(State.PAUSED)
    world.terminate()
    assert (world.state, world.job().undo_rows) == (State.ROLLING_BACK, SOME.last_row)


@pytest.mark.parametrize("state", [State.COMPLETED, State.COMPLETED_WITH_ERRORS])
def test_a_completed_job_can_be_taken_out_again(state: State) -> None:
    world = world_in(state)
    applied = world.job().applied
    world.rollback()
    assert world.job().ended_at is None
    world.complete()
    world.check(remaining=0)
    job = world.job()
    assert (job.state, job.applied) == (State.ROLLED_BACK, applied)
    assert job.ended_at is not None


def test_a_rollback_can_be_paused_and_resumed() -> None:
    world = world_in(State.ROLLING_BACK)
    world.pause()
    assert (world.state, world.job().halting) == (State.ROLLING_BACK, True)
    world.rest(0)
    assert world.state is State.ROLLING_BACK
    world.rest(1)
    assert (world.state, world.job().halting) == (State.ROLLBACK_PAUSED, False)
    run = world.job().run
    world.resume()
    assert (world.state, world.job().run) == (State.ROLLING_BACK, run), "the same round goes on"
    world.complete()
    world.check(remaining=0)
    assert world.state is State.ROLLED_BACK


def test_a_rollback_that_is_about_to_pause_takes_a_second_pause_as_a_repeat_and_no_resume() -> None:
    world = world_in(State.ROLLING_BACK)
    world.pause()
    world.rest(0)
    before = world.job()
    world.pause()
    assert (world.job().epoch, world.job().lanes_rested) == (before.epoch, before.lanes_rested)
    world.resume()
    assert world.rejection().code == 409
    assert "ROLLBACK_PAUSED" in world.rejection().message
    world.rest(1)
    assert world.state is State.ROLLBACK_PAUSED


def test_a_count_from_before_a_pause_ends_no_rollback() -> None:
    """Between the count and now, something that was in flight may have been written."""
    world = world_in(State.ROLLING_BACK)
    world.complete()
    epoch = world.job().epoch
    world.pause()
    world.send(UndoChecked(job_id="j1", epoch=epoch, remaining=0))
    world.rest()
    assert world.state is State.ROLLBACK_PAUSED
    world.resume()
    assert world.job().checking, "it is counted again"
    world.check(remaining=0)
    assert world.state is State.ROLLED_BACK


def test_no_count_ends_a_rollback_that_is_about_to_pause() -> None:
    world = world_in(State.ROLLING_BACK)
    world.complete(totals=LaneTotals(rows_undone=5, blocks=1, last_row=10))
    world.pause()
    world.check(remaining=0)
    assert (world.state, world.job().halting) == (State.ROLLING_BACK, True)
    world.rest()
    assert world.state is State.ROLLBACK_PAUSED


def test_a_count_that_nobody_asked_for_ends_no_rollback() -> None:
    world = world_in(State.ROLLING_BACK)
    world.check(remaining=0)
    assert world.state is State.ROLLING_BACK


def test_a_failed_job_that_is_rolled_back_first_proves_that_it_has_stopped() -> None:
    world = world_in(State.FAILED)
    world.rollback()
    assert world.state is State.TERMINATING
    world.rest()
    assert (world.state, world.job().undo_rows) == (State.ROLLING_BACK, SOME.last_row)


def test_a_failed_job_that_has_proved_it_is_rolled_back_at_once() -> None:
    world = world_in(State.FAILED)
    world.rest()
    assert world.state is State.FAILED
    world.rollback()
    assert (world.state, world.job().undo_rows) == (State.ROLLING_BACK, SOME.last_row)


@pytest.mark.parametrize("way_on", ["resume", "rollback"])
def test_a_rollback_that_failed_goes_on_as_a_rollback(way_on: str) -> None:
    world = world_in(State.ROLLING_BACK)
    world.fail("Elasticsearch refuses to delete")
    assert world.state is State.FAILED
    getattr(world, way_on)()
    assert (world.state, world.job().phase) == (State.ROLLING_BACK, "undo")
    world.complete()
    world.check(remaining=0)
    assert world.state is State.ROLLED_BACK


def test_lanes_of_an_earlier_round_do_not_end_a_later_one() -> None:
    world = world_in(State.ROLLING_BACK)
    world.send(LanesDone(job_id="j1", phase="apply", run=0, lanes={0: SOME, 1: SOME}))
    world.end_input()
    assert world.state is State.ROLLING_BACK
    assert not world.job().checking
