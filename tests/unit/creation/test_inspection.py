"""The first rows of a job: who waits for them to be looked at, and what follows from what they look like."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from control.creation.inspection import looks_for_earlier, rows_within
from schemas.ids import job_id_for_key, job_id_for_start, new_job_id
from schemas.job import Job, LaneTotals, Source, State
from schemas.messages.commands import RowsInspected
from schemas.messages.plans import ReadFile
from schemas.suspicion import Suspicion
from schemas.topics import DAY_MS
from tests.support.in_memory.control import World, at, input_ended, lanes_done, rested, upload

EXCHANGED = Suspicion(
    kind="exchanged",
    columns=("name", "country"),
    fit=0.998,
    rows=1000,
    message="name and country look exchanged: 998 of 1,000 rows fit better with them the other way round",
    columns_option={"name": "country", "country": "name"},
)
REFUSED = replace(EXCHANGED, refused=True)


def inspected(world: World, suspicion: Suspicion | None = None, own_rows: int = 1000) -> Job:
    world.send(RowsInspected(job_id="j1", epoch=world.job().epoch, suspicion=suspicion, own_rows=own_rows))
    return world.job()


def begun(**options: Any) -> World:
    world = World()
    world.create(**options)
    return world


def test_no_row_of_a_file_is_written_before_its_first_rows_have_been_looked_at() -> None:
    world = begun()
    plan = world.plans[-1]
    assert isinstance(plan, ReadFile) and plan.ahead_rows == 1000
    assert rows_within(world.job()) == 0
    assert rows_within(inspected(world)) is None
    assert "Inspected" not in world.events(), "nothing odd is nothing to tell"


def test_a_probe_of_row_errors_comes_after_it() -> None:
    world = begun(max_errors="5%")
    assert rows_within(world.job()) == 0
    assert rows_within(inspected(world)) == 1000


NOT_LOOKED_AT = pytest.mark.parametrize(
    ("options", "source"),
    [({"suspicions": "off"}, Source(path="uploads/j1.csv")), ({}, Source(kind="topic"))],
    ids=["who does not want it", "rows that come in any order"],
)


@NOT_LOOKED_AT
def test_others_do_not_wait(options: dict[str, Any], source: Source) -> None:
    world = World()
    job_id = new_job_id(at(0), 7)
    world.send(replace(upload(job_id, **options), source=source))
    assert (world.job(job_id).inspection, rows_within(world.job(job_id))) == ("none", None)


@NOT_LOOKED_AT
def test_an_id_that_an_earlier_job_may_have_had_is_looked_for_before_the_first_row(
    options: dict[str, Any], source: Source
) -> None:
    world = World()
    world.send(replace(upload("j1", **options), source=source))
    assert rows_within(world.job()) == 0
    assert not any(getattr(plan, "ahead_rows", 0) for plan in world.plans), "no row is looked at"
    assert rows_within(inspected(world)) is None


@pytest.mark.parametrize(
    "job_id",
    [job_id_for_key("ada", "nightly"), job_id_for_start("j0"), "crm-17", new_job_id(at(0) - 30 * DAY_MS, 7), "0" * 16],
)
def test_ids_that_can_come_again(job_id: str) -> None:
    assert looks_for_earlier(job_id, at(0))


@pytest.mark.parametrize("keep_rows", [False, True])
def test_a_job_that_was_not_allowed_to_write_takes_nothing_out(keep_rows: bool) -> None:
    """Rows with its id are an earlier job's: no worker counts them, and no reader plans to take them out."""
    world = World()
    world.send(replace(upload("j1"), source=Source(kind="topic")))
    plans = len(world.plans)
    world.fail("an earlier job had this id")
    world.terminate(keep_rows=keep_rows)
    world.rest(totals=LaneTotals())
    world.rollback()
    assert world.state is State.ROLLED_BACK
    assert len(world.plans) == plans


@pytest.mark.parametrize(
    ("options", "suspicion", "own_rows", "pauses"),
    [
        ({}, EXCHANGED, 1000, True),
        ({}, EXCHANGED, 999, False),
        ({"suspicions": "pause"}, EXCHANGED, 0, True),
        ({"suspicions": "note"}, EXCHANGED, 1000, False),
        ({"dry_run": True}, EXCHANGED, 1000, False),
        ({"dry_run": True, "suspicions": "pause"}, EXCHANGED, 1000, False),
        ({}, REFUSED, 1000, False),
        ({"suspicions": "pause"}, REFUSED, 0, True),
        ({"suspicions": "pause", "max_errors": 5}, REFUSED, 1000, False),
        ({"max_errors": 5}, EXCHANGED, 1000, True),
    ],
)
def test_a_suspicion_pauses_where_the_job_says_so_or_there_are_enough_rows_to_compare_with(
    options: dict[str, Any], suspicion: Suspicion, own_rows: int, pauses: bool
) -> None:
    world = begun(**options)
    job = inspected(world, suspicion, own_rows)
    assert job.suspicion == suspicion
    assert job.state is (State.PAUSING if pauses else State.RUNNING)
    assert (job.reason is not None) is pauses
    assert world.events()[2:] == ["Suspected", "PauseRequested"][: 1 + pauses]


def test_a_job_that_rests_says_why_and_goes_on_when_it_is_resumed() -> None:
    world = begun()
    job = inspected(world, EXCHANGED)
    assert job.reason is not None and job.reason.startswith(EXCHANGED.message) and "No row is written yet" in job.reason
    world.send(rested(job, (0, 1), LaneTotals()))
    assert world.state is State.PAUSED
    world.resume()
    job = world.job()
    assert (job.state, job.inspection, job.suspicion, rows_within(job)) == (State.RUNNING, "waived", EXCHANGED, None)
    assert inspected(world, EXCHANGED).state is State.RUNNING, "once is enough"
    world.send(input_ended(job, (1, 1)))
    world.send(lanes_done(job, (0, 1), LaneTotals(rows_applied=5, blocks=1, last_row=10)))
    assert world.state is State.COMPLETED


def test_a_pause_before_anybody_has_looked_has_it_looked_at_after_the_resume() -> None:
    world = begun()
    before = world.job().epoch
    world.pause()
    world.send(RowsInspected(job_id="j1", epoch=before))
    assert world.job().inspection == "due", "what was seen in an older epoch is void"
    world.send(rested(world.job(), (0, 1), LaneTotals()))
    world.resume()
    assert rows_within(world.job()) == 0
    assert rows_within(inspected(world)) is None


def test_an_empty_file_has_nothing_to_look_at() -> None:
    world = begun()
    world.send(input_ended(world.job(), (0, 0)))
    assert world.state is State.COMPLETED


def test_what_explains_the_row_errors_of_a_probe_stands_in_front_of_them() -> None:
    world = begun(max_errors="5%")
    inspected(world, REFUSED)
    world.count(0, 0, 1000)
    reason = world.job().reason
    assert world.state is State.PAUSING
    assert reason is not None and reason.startswith(f"{REFUSED.message}. 1,000 of the first 1,000 rows have errors")
