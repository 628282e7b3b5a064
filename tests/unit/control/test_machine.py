"""Life stories of jobs, from creation to rest."""

from __future__ import annotations

from schemas.job import ENDED, Input, LaneTotals, State
from schemas.messages.commands import InputAdvanced
from schemas.messages.events import JobEvent
from schemas.messages.plans import ReadFile
from tests.support.in_memory.control import SOME, World, at, rested, world_in

NONE = LaneTotals()


def test_an_upload_from_creation_to_completion() -> None:
    world = World()
    world.create()
    assert (world.state, world.job().epoch, world.job().started_at) == (State.RUNNING, 1, at(0))
    world.end_input(3, 2)
    assert world.state is State.RUNNING
    world.lanes_done(0, totals=LaneTotals(rows_applied=1500, blocks=3, last_row=2300))
    assert world.state is State.RUNNING, "one lane is still at work"
    world.lanes_done(1, totals=LaneTotals(rows_applied=1000, blocks=2, last_row=2500))
    job = world.job()
    assert job.state is State.COMPLETED
    assert job.applied == LaneTotals(rows_applied=2500, blocks=5, last_row=2500)
    assert job.ended_at == at(3)
    assert world.events() == ["Created", "Started", "InputCompleted", "Completed"]


def test_row_errors_show_in_the_final_state() -> None:
    world = World()
    world.create()
    world.end_input()
    world.lanes_done(0, totals=SOME)
    world.lanes_done(1, totals=LaneTotals(rows_applied=4, rows_failed=1, blocks=1, last_row=10))
    assert world.state is State.COMPLETED_WITH_ERRORS
    assert world.job().applied == LaneTotals(rows_applied=9, rows_failed=1, blocks=2, last_row=10)


def test_a_file_without_rows_is_complete_at_once() -> None:
    world = World()
    world.create()
    world.end_input(0, 0)
    assert world.state is State.COMPLETED
    assert world.job().applied == NONE


def test_a_partition_without_blocks_has_nothing_to_report() -> None:
    world = World()
    world.create()
    world.end_input(0, 1)
    world.lanes_done(1)
    assert world.state is State.COMPLETED


def test_lanes_may_report_before_the_reader_does() -> None:
    world = World()
    world.create()
    world.lanes_done()
    world.end_input()
    assert world.state is State.COMPLETED


def test_paused_needs_the_proof_of_every_partition() -> None:
    world = World()
    world.create()
    world.pause()
    world.rest(1)
    assert world.state is State.PAUSING
    world.rest(1)
    assert world.state is State.PAUSING, "the same partition twice is no proof for the other"
    world.rest(0)
    assert world.state is State.PAUSED
    assert {number: lane.last_offset for number, lane in world.job().lanes_rested.items()} == {0: 40, 1: 41}


def test_a_proof_from_before_a_resume_does_not_count_for_the_next_pause() -> None:
    world = world_in(State.PAUSING)
    old = rested(world.job())
    world.rest()
    world.resume()
    world.pause()
    world.send(old)
    assert world.state is State.PAUSING
    assert not world.job().lanes_rested


def test_resume_goes_on_from_the_checkpoint() -> None:
    world = World()
    world.create()
    world.send(_advanced(world, blocks=7))
    world.pause()
    world.rest()
    world.resume()
    first, second = world.plans
    assert isinstance(first, ReadFile) and first.checkpoint == Input()
    assert isinstance(second, ReadFile) and second.checkpoint == Input(blocks=7, rows=35)
    assert second.epoch == world.job().epoch > first.epoch
    world.complete()
    assert world.state is State.COMPLETED


def test_work_that_ends_while_a_job_pauses_is_found_done_by_the_resume() -> None:
    world = world_in(State.PAUSING)
    world.complete()
    assert world.state is State.PAUSING
    world.rest()
    assert world.state is State.PAUSED, "a pause is never skipped"
    plans = len(world.plans)
    world.resume()
    assert world.state is State.COMPLETED
    assert len(world.plans) == plans, "nothing is left to read"


def test_a_failed_job_says_why_and_goes_on_from_its_checkpoint() -> None:
    world = World()
    world.create()
    world.send(_advanced(world, blocks=4))
    world.fail("the disk is full")
    job = world.job()
    assert (job.state, job.reason, job.ended_at) == (State.FAILED, "the disk is full", at(2))
    world.resume()
    job = world.job()
    assert (job.state, job.ended_at, job.started_at) == (State.RUNNING, None, at(0))
    plan = world.plans[-1]
    assert isinstance(plan, ReadFile) and plan.checkpoint.blocks == 4
    world.complete()
    assert world.state is State.COMPLETED


def test_too_many_row_errors_pause_the_job_once_and_a_resume_means_go_on_regardless() -> None:
    world = World()
    world.create(max_errors="5%")
    world.count(0, 440, 60)
    world.count(1, 500, 0)
    job = world.job()
    assert (job.state, job.budget) == (State.PAUSING, "spent")
    assert job.reason is not None and "60 of the first 1,000 rows have errors" in job.reason
    assert [(record.event, record.reason) for record in world.history if isinstance(record, JobEvent)][-1] == (
        "PauseRequested",
        job.reason,
    )
    world.rest()
    assert world.state is State.PAUSED
    world.resume()
    assert world.job().budget == "waived"
    world.count(0, 440, 960, blocks=3)
    assert world.state is State.RUNNING
    world.complete(totals=LaneTotals(rows_applied=1, rows_failed=4, blocks=1, last_row=10))
    assert world.state is State.COMPLETED_WITH_ERRORS


def test_a_pause_that_somebody_asked_for_leaves_the_error_budget_open() -> None:
    world = world_in(State.PAUSED, max_errors=10)
    world.resume()
    assert world.job().budget == "probing"
    world.count(0, 100, 11)
    assert world.state is State.PAUSING


def test_what_comes_in_while_a_job_is_paused_is_judged_when_it_is_resumed() -> None:
    world = world_in(State.PAUSED, max_errors=10)
    world.count(0, 100, 11)
    assert (world.state, world.job().budget) == (State.PAUSED, "probing")
    world.resume()
    assert (world.state, world.job().budget) == (State.PAUSING, "spent")


def test_the_probe_is_over_once_all_lanes_together_have_dealt_with_its_rows() -> None:
    world = world_in(State.RUNNING, max_errors="5%")
    world.count(0, 480, 20)
    assert world.job().budget == "probing"
    world.count(1, 470, 30)
    assert (world.state, world.job().budget) == (State.RUNNING, "open")
    world.count(1, 500, 81, blocks=2)
    assert world.state is State.PAUSING, "later on the limit holds for all rows so far"


def test_a_job_that_is_shorter_than_a_probe_ends_with_an_open_budget() -> None:
    world = world_in(State.RUNNING, max_errors="5%")
    world.complete()
    assert (world.state, world.job().budget) == (State.COMPLETED, "open")


def test_an_older_count_of_a_lane_changes_nothing() -> None:
    world = world_in(State.RUNNING, max_errors="5%")
    world.count(0, 900, 0, blocks=2)
    world.count(0, 450, 0, blocks=1)
    assert world.job().lanes_counted == {0: LaneTotals(rows_applied=900, blocks=2)}


def test_without_a_limit_nothing_is_probed_or_counted() -> None:
    world = world_in(State.RUNNING)
    world.count(0, 0, 5000)
    assert (world.state, world.job().budget, world.job().lanes_counted) == (State.RUNNING, "open", {})


def test_a_job_has_an_end_time_exactly_when_it_has_ended_or_failed() -> None:
    for state in State:
        job = world_in(state).job()
        assert (job.ended_at is not None) == (state in ENDED | {State.FAILED}), state


def _advanced(world: World, blocks: int) -> InputAdvanced:
    return InputAdvanced(job_id="j1", run=world.job().run, input=Input(blocks=blocks, rows=blocks * 5))
