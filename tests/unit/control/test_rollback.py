"""Life stories of jobs that are terminated or rolled back: until a count finds none of their rows."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from schemas.job import Input, LaneTotals, Source, State
from schemas.messages.commands import FileFinished, LanesDone, RollbackJob, RowsInspected, UndoChecked, WorkFailed
from schemas.messages.events import JobEvent
from schemas.messages.plans import UndoRows
from tests.support.in_memory.control import SOME, World, at, input_ended, lanes_done, rested, upload, world_in

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
    world = World()
    world.create()
    world.send(RowsInspected(job_id="j1", epoch=world.job().epoch))
    world.terminate()
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


def test_a_rollback_that_failed_goes_on_when_it_is_resumed() -> None:
    world = world_in(State.ROLLING_BACK)
    run = world.job().run
    world.fail("Elasticsearch refuses to delete")
    assert world.state is State.FAILED
    world.resume()
    assert (world.state, world.job().phase, world.job().run) == (State.ROLLING_BACK, "undo", run)
    world.complete()
    world.check(remaining=0)
    assert world.state is State.ROLLED_BACK


def undone(rows: int) -> LaneTotals:
    return LaneTotals(rows_undone=rows, blocks=1, last_row=10)


def test_a_rollback_whose_blocks_are_lost_begins_anew_when_the_job_is_rolled_back_once_more() -> None:
    world = world_in(State.COMPLETED)
    world.rollback()
    world.end_input(3, 3)
    world.pause()
    world.rest(totals=undone(2))
    assert world.state is State.ROLLBACK_PAUSED
    world.resume()
    world.fail("3 parked blocks are not in Kafka any more")
    world.rest(totals=undone(2))
    before, plans = world.job(), len(world.plans)
    assert (before.state, before.run, before.undo_input.ended) == (State.FAILED, 1, True)

    world.rollback()
    job = world.job()
    assert (job.state, job.run, job.undo_input, job.lanes_done) == (State.ROLLING_BACK, 2, Input(), {})
    assert (job.applied, job.undone) == (before.applied, replace(undone(4), blocks=2)), "what is undone stays counted"
    assert job.epoch > before.epoch and job.ended_at is None
    assert world.events()[-1] == "RollbackStarted"
    (plan,) = world.plans[plans:]
    assert isinstance(plan, UndoRows)
    assert (plan.last_row, plan.run, plan.epoch, plan.checkpoint) == (10, 2, job.epoch, Input())

    for report in (input_ended(before), lanes_done(before), rested(before), WorkFailed(job_id="j1", run=1, reason="?")):
        world.send(report)
        assert world.job() == job, "reports of the former round are void"
    world.complete(totals=undone(3))
    world.check(remaining=0)
    job = world.job()
    assert job.state is State.ROLLED_BACK
    assert job.undone is not None and job.undone.rows_undone == 10, "each row once"


def test_a_rollback_begins_anew_only_once_every_lane_of_the_former_round_has_stopped() -> None:
    """Until then something of it may be in flight, and its lanes have not said all that they have undone."""
    world = world_in(State.ROLLING_BACK)
    world.fail()
    world.rollback()
    assert (world.state, world.job().run) == (State.TERMINATING, 1)
    world.rest(0, totals=undone(2))
    assert world.state is State.TERMINATING
    world.rest(1, totals=undone(1))
    job = world.job()
    assert (job.state, job.run, job.undone) == (State.ROLLING_BACK, 2, replace(undone(3), blocks=2))


def test_a_round_that_was_counted_before_its_count_failed_is_not_counted_twice() -> None:
    world = world_in(State.ROLLING_BACK)
    world.complete(totals=undone(5))
    world.fail("Elasticsearch refuses to search")
    world.rest(totals=undone(5))
    world.rollback()
    job = world.job()
    assert (job.state, job.run, job.checking) == (State.ROLLING_BACK, 2, False)
    assert job.undone == replace(undone(10), blocks=2)


def test_a_rollback_that_begins_anew_takes_in_the_rows_that_a_count_has_found() -> None:
    world = world_in(State.ROLLING_BACK)
    world.complete()
    world.check(remaining=3, last_row=1200)
    world.fail()
    world.rest(totals=NONE)
    world.rollback()
    plan = world.plans[-1]
    assert isinstance(plan, UndoRows) and (plan.run, plan.last_row) == (3, 1200)


def test_what_a_failed_rollback_could_not_restore_is_judged_anew() -> None:
    world = world_in(State.ROLLING_BACK)
    world.complete(totals=LaneTotals(rows_undone=3, rows_kept=2, blocks=1, last_row=10))
    world.fail()
    world.rest()
    world.rollback()
    world.complete(totals=LaneTotals(rows_kept=2, blocks=1, last_row=10))
    world.check(remaining=0)
    totals = world.job().undone
    assert totals is not None and (totals.rows_undone, totals.rows_kept) == (6, 4)


@pytest.mark.parametrize("has_rested", [True, False])
@pytest.mark.parametrize(("first", "again", "force"), [(True, False, True), (False, True, True), (False, False, False)])
def test_a_rollback_that_begins_anew_does_not_lose_its_force(
    first: bool, again: bool, force: bool, has_rested: bool
) -> None:
    world = world_in(State.COMPLETED)
    world.send(RollbackJob(job_id="j1", force=first))
    world.fail()
    if has_rested:
        world.rest()
    world.send(RollbackJob(job_id="j1", force=again))
    if not has_rested:
        world.rest()
    assert (world.state, world.job().run, world.job().force) == (State.ROLLING_BACK, 2, force)


def test_a_rollback_with_force_keeps_it_while_the_lanes_stop() -> None:
    world = world_in(State.FAILED)
    world.send(RollbackJob(job_id="j1", force=True))
    assert world.state is State.TERMINATING
    world.rest()
    assert (world.state, world.job().force) == (State.ROLLING_BACK, True)


# -- rounds that take nothing out ------------------------------------------------------------------------------------


def stuck() -> World:
    """A rollback with three documents that no round takes out."""
    world = world_in(State.ROLLING_BACK)
    world.complete(totals=undone(5))
    world.check(remaining=3, last_row=10)
    assert (world.state, world.job().run, world.job().left_over) == (State.ROLLING_BACK, 2, 3)
    world.complete(totals=undone(0))
    world.check(remaining=3, last_row=10)
    return world


def test_a_rollback_fails_when_a_round_has_taken_nothing_out_and_as_much_is_left() -> None:
    world = stuck()
    reason = world.job().reason or ""
    assert world.state is State.FAILED
    assert "leaves 3 documents" in reason and "sluice.job_id j1" in reason and "then resume" in reason
    told = world.history[-1]
    assert isinstance(told, JobEvent) and (told.event, told.reason) == ("Failed", reason)


def test_a_stuck_rollback_ends_once_somebody_has_taken_out_what_is_left() -> None:
    world = stuck()
    world.resume()
    assert (world.state, world.job().checking, world.job().reason) == (State.ROLLING_BACK, True, None)
    world.check(remaining=3, last_row=10)
    assert world.state is State.FAILED
    world.resume()
    world.check(remaining=0)
    job = world.job()
    assert (job.state, job.left_over) == (State.ROLLED_BACK, 0)
    assert job.undone is not None and job.undone.rows_undone == 10


def test_a_stuck_rollback_that_begins_anew_has_one_round_to_take_something_out() -> None:
    world = stuck()
    world.rest(totals=undone(0))
    world.rollback()
    world.complete(totals=undone(0))
    world.check(remaining=3, last_row=10)
    assert (world.state, world.job().run) == (State.FAILED, 3)
    world.rest(totals=undone(0))
    world.rollback()
    world.complete(totals=undone(1))
    world.check(remaining=1, last_row=10)
    assert (world.state, world.job().run) == (State.ROLLING_BACK, 5)


@pytest.mark.parametrize(("rows", "remaining"), [(1, 3), (0, 2)])
def test_a_rollback_goes_on_while_rounds_take_rows_out_or_fewer_are_left(rows: int, remaining: int) -> None:
    world = world_in(State.ROLLING_BACK)
    world.complete(totals=undone(5))
    world.check(remaining=3, last_row=10)
    world.complete(totals=undone(rows))
    world.check(remaining=remaining, last_row=10)
    assert (world.state, world.job().run) == (State.ROLLING_BACK, 3)


def test_an_export_whose_files_stay_fails_with_what_to_look_at() -> None:
    world = World()
    world.send(replace(upload(), operation="export", source=Source(kind="query"), date_from="2026-01-01"))
    world.send(RowsInspected(job_id="j1", epoch=world.job().epoch))
    world.complete()
    world.send(FileFinished(job_id="j1", epoch=world.job().epoch))
    world.rollback()
    world.check(remaining=1)
    assert world.state is State.ROLLING_BACK
    world.end_input(0, 0)
    world.check(remaining=1)
    assert world.state is State.FAILED
    assert "leaves 1 file that it can't remove" in (world.job().reason or "")


def test_lanes_of_an_earlier_round_do_not_end_a_later_one() -> None:
    world = world_in(State.ROLLING_BACK)
    world.send(LanesDone(job_id="j1", phase="apply", run=0, lanes={0: SOME, 1: SOME}))
    world.end_input()
    assert world.state is State.ROLLING_BACK
    assert not world.job().checking
