"""Limits of organisations: how they are set, what counts against them, and the refusals of the control agent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import replace
from pydantic import ValidationError

from control.creation.quotas import usage_of
from runtime.settings import Settings
from schemas.job import Input, LaneTotals, Source, State
from schemas.messages.commands import CreateJob, InputEnded, SetRate, TimerDue
from schemas.policies.quotas import LIMITS, QuotaBook, QuotaName, Quotas
from schemas.policies.retention import EXPIRING, Retention
from tests.support.in_memory.control import World, at, corrections, upload
from tests.support.stubs.bulk import Worker


def of_acme(**values: Any) -> QuotaBook:
    return QuotaBook(organisations={"acme": Quotas(**values)})


def job(job_id: str, organisation: str = "acme", dataset: str = "people", **more: Any) -> CreateJob:
    """Jobs of different users do not exclude each other here: each is of an operation of its own or a dry run."""
    return replace(upload(job_id, dry_run=True), organisation=organisation, dataset=dataset, **more)


def refusal(world: World) -> tuple[int, str]:
    found = world.rejection()
    return found.code, found.details["limit"]


def test_a_setting_in_a_file_has_limits_for_all_and_others_for_some(tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text("rows = 10\ncolumns = 7\n[organisations.acme]\nrows = 20\nweight = 3\n")
    book = Settings(limits=str(file)).quotas
    assert (book.of("acme").rows, book.of("acme").columns, book.of("acme").weight) == (20, 7, 3)
    assert (book.of("other").rows, book.of("other").weight) == (10, 1)
    json = Settings(limits='{"rows": 10, "columns": 7, "organisations": {"acme": {"rows": 20, "weight": 3}}}').quotas
    assert json == book


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"row": 5}', "unknown field `row`"),
        ('{"rows": 0}', "rows"),
        ('{"rows": "many"}', "rows"),
        ('{"rows": 1, "rows": 2}', "stands twice"),
        ('{"organisations": {"acme": 5}}', "table of tables"),
        ('{"organisations": {"acme": {"rows": -1}}}', "organisation acme"),
        ("/there/is/no.toml", "can't be read"),
        ("limits.yaml", "neither JSON"),
        ("{", "Expecting"),
        ('{"a":' * 100_000, "too deep"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_when_the_process_starts(text: str, problem: str) -> None:
    for name in ("limits", "retention"):
        if name == "limits" or "organisations" not in text:
            with pytest.raises(ValidationError, match=problem if name == "limits" else None):
                Settings(**{name: text})


def test_every_limit_has_a_name_and_every_store_a_retention() -> None:
    assert set(LIMITS) == set(get_args(QuotaName)) == set(Quotas.__struct_fields__) - {"weight"}
    assert Retention.__struct_fields__ == EXPIRING


def test_no_more_jobs_of_an_organisation_run_than_it_may_have_and_those_of_others_do() -> None:
    world = World(of_acme(jobs_running=1))
    world.send(job("j1"))
    world.send(job("j2"))
    assert refusal(world) == (429, "jobs_running")
    world.send(job("j3", organisation="other"))
    assert world.job("j3").state is State.RUNNING
    world.terminate("j1", keep_rows=True)
    world.rest(job_id="j1")
    world.send(job("j2"))
    assert world.job("j2").state is State.RUNNING


def test_a_job_that_may_wait_starts_when_another_one_of_its_organisation_has_ended() -> None:
    world = World(of_acme(jobs_running=1, jobs_queued=1))
    world.send(job("j1"))
    waiting = job("j2")
    world.send(replace(waiting, options=replace(waiting.options, if_busy="queue")))
    assert world.job("j2").state is State.QUEUED
    world.send(replace(waiting, job_id="j3", options=replace(waiting.options, if_busy="queue")))
    assert refusal(world) == (429, "jobs_queued")
    world.complete("j1")
    assert world.job("j2").state is State.RUNNING


def test_a_job_made_for_a_time_waits_for_its_turn_as_any_other() -> None:
    world = World(of_acme(jobs_running=1, jobs_queued=1))
    world.send(job("j1"))
    later = replace(job("j2"), start_at=at(5))
    world.send(later)
    world.send(replace(later, job_id="j3"))
    assert refusal(world) == (429, "jobs_queued"), "it is in the queue until its time comes"
    while len(world.log) < 5:
        world.send(SetRate(job_id="j1", rows_per_second=5))
    world.send(TimerDue(job_id="j2", due_at=at(5)))
    assert (world.job("j2").state, world.job("j2").start_at) == (State.QUEUED, None)
    world.complete("j1")
    assert world.job("j2").state is State.RUNNING


def test_no_more_jobs_wait_for_their_files_than_an_organisation_may_have() -> None:
    world = World(of_acme(drafts=1))
    draft = replace(job("j1", source=Source(name="people.csv")), draft=True)
    world.send(draft)
    world.send(replace(draft, job_id="j2"))
    assert refusal(world) == (429, "drafts")
    world.send(replace(draft, job_id="j3", organisation="other"))
    assert world.job("j3").state is State.DRAFT
    world.send(draft)
    assert world.job("j1").command_offset == len(world.log) - 1, "the repeat of a request that was granted is granted"
    world.terminate("j1")
    world.send(replace(draft, job_id="j2"))
    assert world.job("j2").state is State.DRAFT


def test_a_failed_job_is_not_resumed_while_the_organisation_has_as_many_at_work_as_it_may() -> None:
    world = World(QuotaBook(Quotas(jobs_running=1)))
    world.create()
    world.fail()
    world.send(job("j2", organisation="default"))
    world.resume()
    assert refusal(world) == (429, "jobs_running")
    world.rollback()
    assert world.state is State.TERMINATING, "what is written can be taken out, whatever else is at work"


def test_stored_files_count_once_and_a_file_too_many_is_refused() -> None:
    world = World(of_acme(stored_bytes=100))
    file = Source(path="sources/j1/a.csv", bytes=60)
    world.send(job("j1", source=file))
    world.send(job("j2", source=file))
    assert usage_of("acme", world.jobs).stored_bytes == 60
    world.send(job("j3", source=Source(path="sources/j3/a.csv", bytes=41)))
    assert refusal(world) == (413, "stored_bytes")
    world.send(job("j4", source=Source(path="/import/a.csv", bytes=41)))
    assert world.job("j4").state is State.RUNNING, "a file of an import folder is not stored"


def test_a_file_that_a_service_names_is_held_to_its_bytes_and_columns() -> None:
    world = World(of_acme(body_bytes=100, columns=2, field_characters=5))
    world.send(job("j1", source=Source(path="a.csv", bytes=101)))
    assert refusal(world) == (413, "body_bytes")
    world.send(job("j1", source=Source(path="a.csv", bytes=1, columns=dict.fromkeys(("a", "b", "c")))))
    assert refusal(world) == (413, "columns")
    world.send(job("j1", source=Source(path="a.csv", bytes=1, columns={"longer": None})))
    assert refusal(world) == (413, "field_characters")


def test_corrected_rows_are_held_to_the_same_limits() -> None:
    world = World(QuotaBook(Quotas(stored_bytes=80)))
    world.create()
    world.complete(totals=LaneTotals(rows_applied=4, rows_failed=1, blocks=1, last_row=10))
    world.send(corrections())
    assert refusal(world) == (413, "stored_bytes")


def test_rows_by_the_inbox_are_bounded_for_a_job_and_for_all_of_an_organisation() -> None:
    world = World(of_acme(rows=100, inbox_rows=50))
    topic = Source(kind="topic")
    world.send(job("j1", source=topic))
    world.send(InputEnded(job_id="j1", rows=101))
    assert refusal(world) == (413, "rows")
    world.send(InputEnded(job_id="j1", rows=60))
    world.send(job("j2", source=topic))
    assert refusal(world) == (429, "inbox_rows")
    done = Input(blocks=2, rows=60, blocks_per_partition=(1, 1))
    world.send(InputEnded(job_id="j1", input=done))
    world.lanes_done(job_id="j1")
    world.send(job("j2", source=topic))
    assert world.job("j2").state is State.RUNNING


def test_an_organisation_of_weight_3_gets_three_times_the_rows_however_many_jobs_it_has() -> None:
    book = QuotaBook(organisations={"heavy": Quotas(weight=3)})
    worker = Worker(bulk_rows=100, quotas=book)
    worker.add("h1", 400, organisation="heavy")
    for name in ("l1", "l2"):
        worker.add(name, 200, organisation="light")
    turns = Counter(turn[0] for _ in range(200) if (turn := worker.turn()) is not None)
    assert turns == {"h1": 150, "l1": 25, "l2": 25}
