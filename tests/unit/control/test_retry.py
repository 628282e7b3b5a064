"""Life stories of jobs whose row errors are corrected, and of dry runs that become the real job."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from schemas.job import Input, LaneTotals, Options, Source, State
from schemas.messages.commands import LanesCounted, StartJob
from schemas.messages.plans import ReadFile, UndoRows
from tests.support.in_memory.control import World, corrections, upload, world_in

BEFORE = LaneTotals(rows_applied=8, rows_failed=2, blocks=2, last_row=10)
ONE_GOOD = LaneTotals(rows_applied=1, blocks=1, last_row=7)
ONE_BAD = LaneTotals(rows_failed=1, blocks=1, last_row=9)


def retrying() -> World:
    world = world_in(State.COMPLETED_WITH_ERRORS)
    assert world.job().applied == BEFORE
    world.send(corrections())
    return world


def test_corrected_rows_are_another_run_of_the_same_job() -> None:
    world = world_in(State.COMPLETED_WITH_ERRORS)
    ended = world.job()
    world.send(corrections())
    job = world.job()
    assert (job.state, job.phase, job.run, job.epoch) == (State.RUNNING, "apply", 1, ended.epoch + 1)
    assert (job.input, job.current_input, job.ended_at) == (ended.input, Input(), None)
    plan = world.plans[-1]
    assert isinstance(plan, ReadFile)
    assert (plan.numbered, plan.source, plan.run, plan.checkpoint) == (True, corrections().source, 1, Input())
    assert world.events()[-1] == "RetryStarted"


def test_counts_are_corrected_by_what_was_applied() -> None:
    world = retrying()
    world.end_input()
    world.lanes_done(0, totals=ONE_GOOD)
    world.lanes_done(1, totals=ONE_BAD)
    job = world.job()
    assert (job.state, job.applied) == (
        State.COMPLETED_WITH_ERRORS,
        LaneTotals(rows_applied=9, rows_failed=1, blocks=4, last_row=10),
    )
    world.send(corrections("c1", errors_of_run=1))
    assert world.job().run == 2
    world.end_input(1, 0)
    world.lanes_done(0, totals=ONE_GOOD)
    job = world.job()
    assert (job.state, job.applied) == (State.COMPLETED, LaneTotals(rows_applied=10, blocks=5, last_row=10))


def test_a_retry_pauses_resumes_and_fails_as_any_work() -> None:
    world = retrying()
    world.pause()
    world.rest(totals=LaneTotals())
    assert world.state is State.PAUSED
    world.resume()
    plan = world.plans[-1]
    assert isinstance(plan, ReadFile) and plan.numbered
    world.fail()
    assert world.state is State.FAILED
    world.resume()
    world.end_input(1, 0)
    world.lanes_done(0, totals=ONE_GOOD)
    assert (world.state, world.job().applied) == (
        State.COMPLETED_WITH_ERRORS,
        LaneTotals(rows_applied=9, rows_failed=1, blocks=3, last_row=10),
    )


@pytest.mark.parametrize("keep_rows", [True, False])
def test_a_retry_that_is_terminated_counts_what_it_applied(keep_rows: bool) -> None:
    world = retrying()
    world.terminate(keep_rows=keep_rows)
    world.rest(0, totals=ONE_GOOD)
    world.rest(1, totals=LaneTotals())
    job = world.job()
    assert job.applied == LaneTotals(rows_applied=9, rows_failed=1, blocks=3, last_row=10)
    assert job.state is (State.TERMINATED if keep_rows else State.ROLLING_BACK)
    if not keep_rows:
        plan = world.plans[-1]
        assert isinstance(plan, UndoRows)
        assert (plan.run, plan.last_row) == (2, 10), "every row of the job, not of the retry alone"


def test_a_rollback_after_a_retry_goes_over_all_rows() -> None:
    world = retrying()
    world.end_input(1, 0)
    world.lanes_done(0, totals=ONE_GOOD)
    applied = world.job().applied
    world.rollback()
    job = world.job()
    assert (job.state, job.run, job.undo_rows, job.applied) == (State.ROLLING_BACK, 2, 10, applied)


@pytest.mark.parametrize("moment", ["running", "paused", "over"])
def test_the_same_file_twice_changes_nothing(moment: str) -> None:
    world = retrying()
    if moment == "paused":
        world.pause()
        world.rest(totals=LaneTotals())
    elif moment == "over":
        world.end_input(1, 0)
        world.lanes_done(0, totals=ONE_GOOD)
    before, plans = world.job(), len(world.plans)
    world.send(corrections(errors_of_run=before.run))
    assert world.job() == replace(before, command_offset=len(world.log) - 1)
    assert len(world.plans) == plans


def test_rows_that_were_compared_with_older_errors_are_refused() -> None:
    world = retrying()
    world.end_input(1, 0)
    world.lanes_done(0, totals=ONE_GOOD)
    world.send(corrections("c1", errors_of_run=0))
    assert world.rejection().code == 409
    assert "have changed meanwhile" in world.rejection().message


def test_a_retry_needs_the_exclusive_key_and_a_job_that_has_written() -> None:
    world = world_in(State.COMPLETED_WITH_ERRORS)
    world.create("other")
    world.send(corrections())
    assert (world.rejection().code, world.rejection().details) == (409, {"job_id": "other"})

    world = World()
    world.create(dry_run=True)
    world.complete(totals=BEFORE)
    world.send(corrections())
    assert "is a dry run" in world.rejection().message


def test_row_errors_that_are_left_do_not_spend_the_budget_again() -> None:
    world = World()
    world.create(max_errors=5)
    world.complete(totals=LaneTotals(rows_applied=4, rows_failed=1, blocks=1, last_row=10))
    world.send(corrections())
    world.send(LanesCounted(job_id="j1", lanes={0: LaneTotals(rows_failed=9)}))
    assert (world.state, world.job().budget) == (State.RUNNING, "waived")


def dry_run(**options: object) -> World:
    world = World()
    world.create(dry_run=True, **options)
    world.complete(totals=BEFORE)
    return world


def start(world: World, options: Options | None = None) -> None:
    world.send(StartJob(job_id="real", by="bob", dry_run="j1", options=options))


def test_a_dry_run_becomes_the_real_job_with_the_same_source_and_options() -> None:
    world = dry_run(max_errors="5%")
    before = world.job()
    start(world)
    job = world.job("real")
    assert (job.state, job.started_from, job.created_by) == (State.RUNNING, "j1", "bob")
    assert (job.source, job.operation, job.dataset) == (before.source, before.operation, before.dataset)
    assert job.options == Options(max_errors="5%")
    assert job.exclusive_key == "organisation=default,dataset=people"
    plan = world.plans[-1]
    assert isinstance(plan, ReadFile) and (plan.job_id, plan.source) == ("real", before.source)
    assert world.job() == before


def test_a_second_start_changes_nothing_even_when_the_dry_run_is_gone() -> None:
    world = dry_run()
    start(world)
    world.jobs.remove("j1")
    before, plans = world.job("real"), len(world.plans)
    start(world)
    assert world.job("real") == replace(before, command_offset=len(world.log) - 1)
    assert len(world.plans) == plans


def test_a_start_may_bring_options_of_its_own() -> None:
    world = dry_run(max_errors="5%")
    start(world, Options(rows_per_second=10))
    assert world.job("real").options == Options(rows_per_second=10)


def test_a_start_has_the_columns_that_were_tried() -> None:
    world = dry_run()
    tried = Options(dry_run=True, columns={"Who": "name"}, set={"country": "NL"}, ignore_extra=True)
    source = Source(path="p.csv", columns={"Who": "name", "Notes": None})
    made = replace(world.job(), options=tried, source=source)
    world.jobs.remove("j1")
    world.jobs.put(made)
    start(world, Options(rows_per_second=10))
    job = world.job("real")
    assert job.options == replace(tried, dry_run=False, rows_per_second=10)
    plan = world.plans[-1]
    assert isinstance(plan, ReadFile) and plan.source == job.source == source


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(dry_run=True), "leave dry_run out"),
        (Options(max_errors="five"), "a percentage such as '5%'"),
        (Options(columns={"x": None}, set={"x": "a"}, encoding="cp1252"), "leave columns, set, encoding out"),
    ],
)
def test_a_start_with_options_that_the_real_job_can_not_have_is_refused(options: Options, words: str) -> None:
    world = dry_run()
    start(world, options)
    assert (world.rejection().code, words in world.rejection().message) == (400, True)


def test_the_real_job_is_subject_to_admission() -> None:
    world = dry_run()
    world.create("other")
    start(world)
    assert world.rejection().details == {"job_id": "other"}
    start(world, Options(if_busy="queue"))
    assert world.job("real").state is State.QUEUED


@pytest.mark.parametrize("state", [state for state in State if not state.startswith("COMPLETED")])
def test_only_a_dry_run_that_has_completed_can_be_started(state: State) -> None:
    world = world_in(state)
    world.jobs.put(replace(world.job(), options=Options(dry_run=True), command_offset=len(world.log)))
    world.log.append(b"")
    start(world)
    assert world.rejection().details == {
        "state": state,
        "allowed": [State.COMPLETED, State.COMPLETED_WITH_ERRORS],
    }


def test_a_dry_run_whose_rows_are_in_no_file_can_not_be_started() -> None:
    world = dry_run()
    world.jobs.put(replace(world.job(), source=Source(kind="topic"), command_offset=len(world.log)))
    world.log.append(b"")
    start(world)
    assert (world.rejection().code, "send them again" in world.rejection().message) == (409, True)


def test_a_job_that_is_no_dry_run_or_not_there_can_not_be_started() -> None:
    world = world_in(State.COMPLETED)
    start(world)
    assert (world.rejection().code, "is no dry run" in world.rejection().message) == (409, True)
    world = World()
    start(world)
    assert world.rejection().code == 404
    world.send(upload("real"))
    world.send(StartJob(job_id="real", dry_run="real"))
    assert world.rejection().code == 409
