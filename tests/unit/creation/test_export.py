"""A job whose outcome is a file: frozen once, finished after its last block, taken out as a whole."""

from __future__ import annotations

import pytest

from schemas.job import Input, LaneTotals, Source, State
from schemas.messages.commands import (
    CreateJob,
    FileFinished,
    InputAdvanced,
    InputEnded,
    LanesDone,
    RowsInspected,
    UndoChecked,
)
from schemas.messages.events import CommandRejected
from schemas.messages.plans import CutExport
from tests.support.in_memory.control import PARTITIONS, World

ROWS = 15_000
FROZEN = Input(frozen="one", rows_total=ROWS)
ENDED = Input(blocks=2, rows=ROWS, ended=True, blocks_per_partition=(1, 1), frozen="one", rows_total=ROWS)


def created() -> World:
    world = World()
    world.send(
        CreateJob(
            job_id="j1",
            operation="export",
            dataset="people",
            organisation="acme",
            source=Source(kind="query"),
            date_from="2026-01-01",
        )
    )
    world.send(RowsInspected(job_id="j1", epoch=world.job().epoch))
    return world


def finishing() -> World:
    world = created()
    world.send(InputAdvanced(job_id="j1", input=FROZEN))
    world.send(InputEnded(job_id="j1", input=ENDED))
    done = {number: LaneTotals(rows_applied=7500, blocks=1, last_row=ROWS) for number in range(PARTITIONS)}
    world.send(LanesDone(job_id="j1", lanes=done))
    return world


def test_of_two_points_in_time_the_first_counts() -> None:
    world = created()
    world.send(InputAdvanced(job_id="j1", input=FROZEN))
    assert (world.job().input, world.job().rows_total) == (FROZEN, ROWS)
    world.send(InputAdvanced(job_id="j1", input=Input(frozen="other", rows_total=7)))
    world.send(InputAdvanced(job_id="j1", input=Input(blocks=1, rows=7, frozen="other", rows_total=7)))
    other = Input(blocks=1, rows=7, ended=True, blocks_per_partition=(1, 0), frozen="other", rows_total=7)
    world.send(InputEnded(job_id="j1", input=other))
    assert world.job().input == FROZEN


def test_a_resumed_export_goes_on_in_its_point_in_time() -> None:
    world = created()
    world.send(InputAdvanced(job_id="j1", input=FROZEN))
    world.pause()
    world.rest()
    world.resume()
    plan = world.plans[-1]
    assert isinstance(plan, CutExport)
    assert plan.checkpoint == FROZEN


def test_it_is_completed_when_its_file_is_there_and_not_before() -> None:
    world = finishing()
    assert (world.state, world.job().finishing) == (State.RUNNING, True)
    world.send(FileFinished(job_id="j1", epoch=world.job().epoch - 1))
    assert world.state is State.RUNNING
    world.send(FileFinished(job_id="j1", epoch=world.job().epoch))
    assert (world.state, world.job().finishing) == (State.COMPLETED, False)
    assert world.job().applied is not None
    assert world.job().applied.rows_applied == ROWS
    world.send(FileFinished(job_id="j1", epoch=world.job().epoch))
    assert world.state is State.COMPLETED


def test_a_pause_while_the_file_is_made_holds_and_a_resume_has_it_made_again() -> None:
    world = finishing()
    before = world.job().epoch
    world.pause()
    world.send(FileFinished(job_id="j1", epoch=before))
    assert world.state is State.PAUSING
    world.rest()
    assert world.state is State.PAUSED
    world.resume()
    assert (world.state, world.job().finishing, world.job().epoch > before) == (State.RUNNING, True, True)
    world.send(FileFinished(job_id="j1", epoch=world.job().epoch))
    assert world.state is State.COMPLETED


def test_an_export_that_failed_while_its_file_was_made_can_be_resumed() -> None:
    world = finishing()
    world.fail()
    assert world.state is State.FAILED
    world.resume()
    assert (world.state, world.job().finishing) == (State.RUNNING, True)


@pytest.mark.parametrize("completed", [False, True])
def test_it_is_taken_out_as_a_whole(completed: bool) -> None:
    world = finishing()
    plans = len(world.plans)
    if completed:
        world.send(FileFinished(job_id="j1", epoch=world.job().epoch))
        world.rollback()
    else:
        world.terminate()
        assert world.state is State.TERMINATING
        world.rest()
    assert (world.state, world.job().checking, world.job().finishing) == (State.ROLLING_BACK, True, False)
    assert len(world.plans) == plans, "no reader has anything to do"
    world.send(UndoChecked(job_id="j1", epoch=world.job().epoch, remaining=0, rows_undone=ROWS))
    assert (world.state, world.job().undone) == (State.ROLLED_BACK, LaneTotals(rows_undone=ROWS))


def test_half_a_file_is_not_kept() -> None:
    world = finishing()
    world.terminate(keep_rows=True)
    assert (world.state, "without keep_rows" in world.rejection().message) == (State.RUNNING, True)


def test_two_exports_may_run_at_once() -> None:
    world = created()
    world.send(
        CreateJob(
            job_id="j2",
            operation="export",
            dataset="people",
            organisation="acme",
            source=Source(kind="query"),
            date_from="2026-01-01",
        )
    )
    assert not [record for record in world.history if isinstance(record, CommandRejected)]
