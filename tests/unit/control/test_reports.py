"""Every state x every report of a worker or reader; and reports that come twice, late or for something over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.job import Input, Job, LaneTotals, State
from schemas.messages.commands import (
    InputAdvanced,
    LanesCounted,
    Report,
    StoresEmptied,
    UndoChecked,
)
from tests.support.in_memory.control import (
    WAYS,
    World,
    corrections,
    input_ended,
    input_failed,
    lanes_done,
    parsed,
    rested,
    work_failed,
    world_in,
)

MAP = """
                       advanced  ended  failed_input  failed_work  one_rested  all_rested    done   counted  checked
DRAFT                  -         -      -             -            -           -             -      -        -
QUEUED                 -         -      -             -            -           -             -      -        -
RUNNING                noted     noted  FAILED        FAILED       -           -             noted  PAUSING  -
PAUSING                noted     noted  FAILED        FAILED       noted       PAUSED        noted  noted    -
PAUSED                 noted     noted  FAILED        FAILED       -           -             noted  noted    -
TERMINATING            -         -      -             -            noted       ROLLING_BACK  -      -        -
TERMINATED             -         -      -             -            -           -             -      -        -
COMPLETED              -         -      -             -            -           -             -      -        -
COMPLETED_WITH_ERRORS  -         -      -             -            -           -             -      -        -
FAILED                 noted     noted  -             -            noted       noted         noted  noted    -
ROLLING_BACK           noted     noted  FAILED        FAILED       -           -             noted  -        -
ROLLBACK_PAUSED        noted     noted  FAILED        FAILED       -           -             noted  -        -
ROLLED_BACK            -         -      -             -            -           -             -      -        -
"""
"""A state: the next one. ``noted``: the state stays, what was reported is in it. ``-``: nothing changes at all."""

REPORTS: dict[str, Callable[[Job], Report]] = {
    "advanced": lambda job: InputAdvanced(
        job_id=job.id, phase=job.phase, run=job.run, input=Input(blocks=1, rows=5, bytes=200, lines=6)
    ),
    "ended": input_ended,
    "failed_input": input_failed,
    "failed_work": work_failed,
    "one_rested": lambda job: rested(job, (1,)),
    "all_rested": rested,
    "done": lanes_done,
    "counted": lambda job: LanesCounted(job_id=job.id, lanes={0: LaneTotals(rows_applied=94, rows_failed=6, blocks=2)}),
    "checked": lambda job: UndoChecked(job_id=job.id, epoch=job.epoch, remaining=0),
}
CELLS = parsed(MAP)
PLACES = [(state, name) for state in State for name in REPORTS]


def changed(world: World, report: Report) -> bool:
    """Send a report; whether anything at all came of it."""
    before = world.job(), len(world.states), len(world.history), len(world.plans)
    world.send(report)
    return before != (world.job(), len(world.states), len(world.history), len(world.plans))


def test_the_map_has_every_state_and_every_report() -> None:
    assert {(state, name) for state, name, _ in CELLS} == set(PLACES)


@pytest.mark.parametrize(("state", "name", "effect"), CELLS)
def test_a_report_has_the_effect_that_the_map_says(state: State, name: str, effect: str) -> None:
    world = world_in(state, max_errors=5)
    assert changed(world, REPORTS[name](world.job())) is (effect != "-")
    assert world.state == (effect if effect in set(State) else state)


@pytest.mark.parametrize(("state", "name"), PLACES)
def test_a_report_that_comes_twice_counts_once(state: State, name: str) -> None:
    world = world_in(state, max_errors=5)
    report = REPORTS[name](world.job())
    world.send(report)
    assert not changed(world, report)


@pytest.mark.parametrize("runs", [-1, 1])
@pytest.mark.parametrize(("state", "name"), [place for place in PLACES if place[1] not in ("counted", "checked")])
def test_a_report_about_another_run_changes_nothing(state: State, name: str, runs: int) -> None:
    world = world_in(state, max_errors=5)
    report = REPORTS[name](world.job())
    assert not changed(world, replace(report, run=abs(world.job().run + runs)))


@pytest.mark.parametrize("epochs", [-1, 1])
@pytest.mark.parametrize(
    ("state", "name"), [place for place in PLACES if place[1] not in ("advanced", "ended", "done", "counted")]
)
def test_a_report_about_another_epoch_changes_nothing(state: State, name: str, epochs: int) -> None:
    world = world_in(state, max_errors=5)
    report = REPORTS[name](world.job())
    assert not changed(world, replace(report, epoch=abs(world.job().epoch + epochs)))


@pytest.mark.parametrize("failed", [input_failed, work_failed])
def test_an_old_failure_does_not_fail_a_job_that_was_resumed(failed: Callable[[Job], Report]) -> None:
    """It comes again when the offsets of the group have expired, or late from a worker that met the same error."""
    world = world_in(State.RUNNING)
    old = failed(world.job())
    world.send(old)
    assert world.state is State.FAILED
    world.resume()
    assert not changed(world, old)
    world.pause()
    assert not changed(world, old)
    world.rest()
    assert not changed(world, old) and world.state is State.PAUSED
    world.resume()
    assert changed(world, failed(world.job())) and world.state is State.FAILED, "it has failed once more"


@pytest.mark.parametrize("failed", [input_failed, work_failed])
def test_a_failure_without_an_epoch_comes_from_an_older_version_and_counts(failed: Callable[[Job], Any]) -> None:
    world = world_in(State.RUNNING)
    assert changed(world, replace(failed(world.job()), epoch=None)) and world.state is State.FAILED


def test_a_store_that_was_emptied_before_a_retry_is_not_taken_for_empty_after_it() -> None:
    world = world_in(State.COMPLETED_WITH_ERRORS)
    old = StoresEmptied(job_id="j1", epoch=world.job().epoch, stores=["row_errors"])
    world.send(corrections(errors_of_run=world.job().run))
    assert not changed(world, old)
    world.complete(totals=LaneTotals(rows_failed=1, blocks=1))
    assert world.state is State.COMPLETED_WITH_ERRORS
    assert not changed(world, old), "it comes again, and the rows of the retry have errors"
    assert changed(world, replace(old, epoch=world.job().epoch)) and world.job().lacks("row_errors") is not None


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_on_a_job_that_does_not_exist_makes_no_job(name: str) -> None:
    known = world_in(State.RUNNING)
    world = World()
    world.send(REPORTS[name](known.job()))
    assert len(world.jobs) == 0 and not world.states


def test_there_is_a_way_to_every_state() -> None:
    assert set(WAYS) == set(State)


def test_an_older_report_of_a_reader_does_not_take_its_checkpoint_back() -> None:
    world = world_in(State.RUNNING)
    for blocks in (5, 3):
        world.send(InputAdvanced(job_id="j1", input=Input(blocks=blocks, rows=blocks * 500)))
    assert world.job().input == Input(blocks=5, rows=2500)


def test_a_job_says_what_the_storage_keeps_its_rows_from_until_a_report_that_is_no_older_takes_it_back() -> None:
    world = world_in(State.RUNNING)

    def tell(blocks: int, problem: str | None) -> bool:
        return changed(world, InputAdvanced(job_id="j1", input=Input(blocks=blocks, storage_problem=problem)))

    assert tell(3, None) and tell(3, "full") and world.job().input.storage_problem == "full"
    assert not tell(3, "full") and not tell(2, None), "a repeat, and an older report"
    assert tell(4, None) and world.job().input.storage_problem is None
    assert not tell(3, "full")
    assert tell(4, "full") and tell(4, None) and world.job().input == Input(blocks=4)
    assert world.state is State.RUNNING and not [event for event in world.events() if event == "Failed"]


def test_the_checkpoint_stays_where_the_end_was_once_it_has_been_reported() -> None:
    world = world_in(State.RUNNING)
    world.end_input(2, 1)
    assert not changed(world, InputAdvanced(job_id="j1", input=Input(blocks=9, rows=9)))
    assert not changed(world, input_ended(world.job(), (7, 7)))
    assert world.job().input.blocks_per_partition == (2, 1)


def test_a_reader_that_fails_after_it_reported_the_end_fails_nothing() -> None:
    world = world_in(State.RUNNING)
    world.end_input()
    assert not changed(world, input_failed(world.job()))


@pytest.mark.parametrize("blocks", [(3,), (1, 1, 1)])
def test_an_end_that_does_not_count_every_partition_is_not_believed(blocks: tuple[int, ...]) -> None:
    world = world_in(State.RUNNING)
    assert not changed(world, input_ended(world.job(), blocks))


def test_a_proof_for_a_partition_that_the_job_has_not_is_left_out() -> None:
    world = world_in(State.PAUSING)
    world.rest(0, 7)
    assert set(world.job().lanes_rested) == {0}
    assert world.state is State.PAUSING
