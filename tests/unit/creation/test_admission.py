"""Which jobs may be made, and which may run at once."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from control.creation.admission import creation_problem, exclusive_key
from control.creation.exclusive import holder
from schemas.job import BUSY, Format, Job, Options, Source, State
from schemas.messages.commands import CreateJob
from tests.support.in_memory.control import CATALOG, World, upload, world_in

EXPORT = CreateJob(
    job_id="e1", operation="export", dataset="people", source=Source(kind="query"), date_from="2026-01-01"
)
TEAMS = CreateJob(job_id="t1", operation="teams", dataset="teams", source=Source(path="teams.csv"))


MAPPED = Source(path="p.csv", columns={"Notes": None, "Who": "name"})
SET = Options(set={"country": "NL"}, columns={"Who": "name"}, ignore_extra=True)


@pytest.mark.parametrize(
    "command",
    [replace(upload(), source=MAPPED, options=SET), upload(), EXPORT, replace(EXPORT, date_till="2026-01-01"), TEAMS],
)
def test_a_good_command_makes_a_job(command: CreateJob) -> None:
    assert creation_problem(command, CATALOG) is None


BAD: list[tuple[CreateJob, dict[str, Any], str]] = [
    (upload(), {"job_id": "Has Spaces"}, "job id"),
    (upload(), {"job_id": "../../etc"}, "job id"),
    (upload(), {"job_id": "x" * 65}, "job id"),
    (upload(), {"job_id": "j1\n"}, "job id"),
    (upload(), {"organisation": "acme\n"}, "organisation"),
    (upload(), {"operation": "explode"}, "use one of export, teams, upload"),
    (upload(), {"dataset": "planets"}, f"use one of {', '.join(CATALOG.datasets)}"),
    (TEAMS, {"dataset": "people"}, "for dataset teams only"),
    (upload(), {"organisation": 'acme"}'}, "organisation"),
    (upload(), {"dataset": ""}, f"dataset is missing; use one of {', '.join(CATALOG.datasets)}"),
    (upload(), {"source": Source(kind="query")}, "from a file or the inbox (topic), not from the dataset (query)"),
    (upload(), {"date_from": "2026-01-01"}, "from and till belong to operation export"),
    (upload(), {"date_till": "2026-01-01"}, "from and till belong to operation export"),
    (EXPORT, {"source": Source(kind="topic")}, "takes its rows from the dataset (query), not from the inbox (topic)"),
    (EXPORT, {"source": Source(path="a.csv")}, "leave out file and source"),
    (EXPORT, {"options": Options(dry_run=True)}, "belong to operations that write rows"),
    (EXPORT, {"options": Options(max_errors=5)}, "belong to operations that write rows"),
    (upload(), {"source": Source(kind="file")}, "source.path"),
    (upload(), {"options": Options(max_errors=-1)}, "max_errors"),
    (upload(), {"options": Options(max_errors="many")}, "'many'"),
    (upload(), {"options": Options(max_errors="5")}, "'5'"),
    (upload(), {"options": Options(rows_per_second=0)}, "rows_per_second"),
    (upload(), {"options": Options(set={"size": "1"})}, "set names 'size', which is no column of dataset people"),
    (upload(), {"options": Options(ignore_extra=True)}, "says which column of its file is which: source.columns"),
    (
        upload(),
        {"options": Options(delimiter=";", quote="'")},
        "delimiter, quote says how its file is written: source.format",
    ),
    (upload(), {"source": Source(path="p.csv", format=Format(delimiter='"'))}, "source.format.delimiter"),
    (upload(), {"source": Source(path="p.csv", format=Format(comment="\n"))}, "source.format.comment"),
    (upload(), {"options": Options(encoding="klingon")}, "encoding 'klingon' is not known"),
    (
        upload(),
        {"source": Source(kind="topic"), "options": Options(encoding="cp1252")},
        "belong to jobs that read a file",
    ),
    (upload(), {"source": Source(path="p.csv", columns={"a": "b"})}, "source.columns names 'b', which is no column"),
    (upload(), {"source": Source(path="p.csv", columns={"a" * 70_000: None})}, "more than 65,536 characters"),
    (
        upload(),
        {"source": Source(kind="topic"), "options": Options(columns={"a": None})},
        "are for the columns of a file",
    ),
    (EXPORT, {"options": Options(set={"name": "a"})}, "set belongs to operations that write rows"),
    (EXPORT, {"dataset": "teams"}, "has no date"),
    (EXPORT, {"date_from": None}, "from is missing"),
    (EXPORT, {"date_from": "20260201"}, "from '20260201' is not a day; write it YYYY-MM-DD"),
    (EXPORT, {"date_from": "01.02.2026"}, "YYYY-MM-DD"),
    (EXPORT, {"date_till": "2026-02-30"}, "till '2026-02-30' is not a day"),
    (EXPORT, {"date_till": "2025-12-31"}, "wrong way round"),
]


@pytest.mark.parametrize(("good", "change", "words"), BAD)
def test_a_bad_command_is_400_and_says_what_to_change(good: CreateJob, change: dict[str, Any], words: str) -> None:
    world = World()
    world.send(replace(good, **change))
    assert world.rejection().code == 400
    assert words in world.rejection().message
    assert not world.states and not world.plans


@pytest.mark.parametrize("options", [Options(max_errors=0), Options(max_errors="0.5%"), Options(rows_per_second=0.1)])
def test_the_least_options_are_fine(options: Options) -> None:
    assert creation_problem(replace(upload(), options=options), CATALOG) is None


def test_what_excludes_what() -> None:
    assert exclusive_key(upload(), CATALOG) == "organisation=default,dataset=people"
    assert exclusive_key(TEAMS, CATALOG) == "organisation=default"
    assert exclusive_key(EXPORT, CATALOG) is None
    assert exclusive_key(upload(dry_run=True), CATALOG) is None, "it writes nothing"


@pytest.mark.parametrize("state", State)
def test_a_second_upload_is_refused_while_the_first_is_at_work_and_the_refusal_names_it(state: State) -> None:
    world = world_in(state)
    world.create("second")
    if state in BUSY:
        refusal = world.rejection()
        assert (refusal.code, refusal.details) == (409, {"job_id": "j1"})
        assert "job j1" in refusal.message and "queue" in refusal.message
        assert world.jobs.get("second") is None
    elif state is not State.QUEUED:
        assert world.job("second").state is State.RUNNING


def test_another_organisation_dataset_or_a_dry_run_runs_beside_it() -> None:
    world = world_in(State.RUNNING)
    world.send(replace(upload("other-org"), organisation="acme"))
    world.send(TEAMS)
    world.create("dry", dry_run=True)
    world.send(EXPORT)
    assert {job.state for job in world.jobs} == {State.RUNNING}
    assert len(world.jobs) == 5


def test_a_job_that_asked_for_it_waits_and_starts_when_the_first_has_ended() -> None:
    world = World()
    world.create()
    world.create("second", if_busy="queue")
    world.create("third", if_busy="queue")
    assert [world.job(name).state for name in ("second", "third")] == [State.QUEUED] * 2
    assert {plan.job_id for plan in world.plans} == {"j1"}
    world.complete()
    assert [world.job(name).state for name in ("second", "third")] == [State.RUNNING, State.QUEUED]
    assert world.events("second") == ["Created", "Started"]
    assert world.plans[-1].job_id == "second"
    world.terminate("second", keep_rows=True)
    world.rest(job_id="second")
    assert world.job("third").state is State.RUNNING


@pytest.mark.parametrize("end", ["fail", "terminate"])
def test_the_next_one_starts_however_the_first_ends(end: str) -> None:
    world = World()
    world.create()
    world.create("second", if_busy="queue")
    if end == "fail":
        world.fail()
    else:
        world.terminate()
        world.rest()
        assert world.job("second").state is State.QUEUED, "rows are still being taken out"
        world.complete()
        world.check(remaining=0)
    assert world.job("second").state is State.RUNNING


def test_a_failed_job_cannot_go_on_while_another_has_its_place() -> None:
    world = world_in(State.FAILED)
    world.create("second")
    world.resume()
    assert world.rejection().code == 409
    assert "job second" in world.rejection().message
    world.complete("second")
    world.resume()
    assert world.state is State.RUNNING


def test_a_terminated_queued_job_never_starts() -> None:
    world = world_in(State.QUEUED)
    world.terminate()
    world.complete("other")
    assert world.state is State.ROLLED_BACK


def _job(name: str, state: State, created_at: int, key: str | None = "k") -> Job:
    return Job(
        id=name,
        operation="upload",
        dataset="people",
        organisation="acme",
        created_by="ada",
        state=state,
        created_at=created_at,
        command_offset=0,
        partitions=2,
        exclusive_key=key,
    )


@pytest.mark.parametrize("state", State)
def test_a_key_is_held_exactly_by_jobs_at_work(state: State) -> None:
    jobs = [_job("a", state, 0)]
    assert holder(jobs, "k") == (jobs[0] if state in BUSY else None)
    assert holder(jobs, "another") is None
