"""The same file is not applied twice, unless someone asks for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from schemas.job import Format, Input, LaneTotals, Source, State
from schemas.messages.commands import CreateJob, InputAdvanced, StartJob
from schemas.messages.events import JobEvent
from tests.support.in_memory.control import WAYS, World, at, rested, upload

FILE = Source(path="j1.csv", name="people.csv", sha256="a1", bytes=9)
ZIPPED = replace(FILE, format=Format(sha256="ff", bytes=4, compression="gzip"))


def sent(job_id: str, source: Source = FILE, **options: object) -> CreateJob:
    return replace(upload(job_id, **options), source=replace(source, path=f"{job_id}.csv"))


class FileWorld(World):
    """A world in which job j1 reads FILE."""

    def create(self, job_id: str = "j1", **options: object) -> None:
        self.send(sent(job_id, **{**self.options, **options}))


def world_in(state: State) -> FileWorld:
    world = FileWorld()
    WAYS[state](world)
    return world


def read(world: World) -> None:
    """A reader has published a block of the job."""
    world.send(InputAdvanced(job_id="j1", input=Input(blocks=1, rows=5)))


STAYS = [State.COMPLETED, State.COMPLETED_WITH_ERRORS]
FREE = [State.ROLLED_BACK, State.TERMINATED, State.FAILED]  # the last two without a row, as nothing was read
"""States in which nothing holds the exclusive key."""


@pytest.mark.parametrize("state", STAYS)
def test_an_applied_file_is_refused_with_the_job_that_applied_it(state: State) -> None:
    world = world_in(state)
    world.create("j2")
    refused = world.rejection()
    assert (refused.code, refused.details) == (409, {"job_id": "j1", "state": state})
    assert "job j1 of organisation default" in refused.message and 'if_same: "allow"' in refused.message
    world.create("j2", if_same="allow")
    assert world.job("j2").state is State.RUNNING


@pytest.mark.parametrize("state", FREE)
def test_a_file_of_which_no_row_is_left_may_come_again(state: State) -> None:
    world = world_in(state)
    world.create("j2")
    assert world.job("j2").state is State.RUNNING


def _kept(world: World) -> None:
    world.create()
    read(world)
    world.terminate(keep_rows=True)
    world.rest()


def _failed(world: World) -> None:
    world.create()
    read(world)
    world.fail()


def _failed_in_its_rollback(world: World) -> None:
    _failed(world)
    world.rollback()
    world.rest()
    world.fail()


@pytest.mark.parametrize("way", [_kept, _failed, _failed_in_its_rollback])
def test_rows_that_were_left_in_count(way: Callable[[World], None]) -> None:
    world = FileWorld()
    way(world)
    assert world.state in (State.TERMINATED, State.FAILED)
    world.create("j2")
    assert "roll it back first" in world.rejection().message


def test_a_file_whose_rows_all_had_errors_may_come_again() -> None:
    world = FileWorld()
    world.create()
    world.complete(totals=LaneTotals(rows_failed=5, blocks=1, last_row=5))
    world.create("j2")
    assert world.job("j2").state is State.RUNNING


@pytest.mark.parametrize(
    "other",
    [
        sent("j2", replace(FILE, sha256="b2")),
        sent("j2", Source(kind="topic")),
        replace(sent("j2"), organisation="else"),
        sent("j2", dry_run=True),
    ],
)
def test_another_file_organisation_or_a_dry_run_is_none_of_it(other: CreateJob) -> None:
    world = world_in(State.COMPLETED)
    world.send(other)
    assert world.job("j2").state is State.RUNNING


@pytest.mark.parametrize(("first", "second"), [(FILE, ZIPPED), (ZIPPED, FILE), (ZIPPED, replace(ZIPPED, sha256="b2"))])
def test_compressed_or_not_it_is_the_same_file(first: Source, second: Source) -> None:
    world = World()
    world.send(sent("j1", first))
    world.complete()
    world.send(sent("j2", second))
    assert world.rejection().details["job_id"] == "j1"


def test_an_operation_may_take_the_same_file_again() -> None:
    world = World()
    for name in ("j1", "j2"):
        world.send(replace(sent(name), operation="teams", dataset="teams"))
        world.complete(name)
        assert world.job(name).state is State.COMPLETED


def test_a_dry_run_is_started_once_and_is_no_load_itself() -> None:
    world = FileWorld()
    world.create("dry", dry_run=True)
    world.complete("dry")
    world.create("j1")
    world.complete("j1")
    world.send(StartJob(job_id="real", dry_run="dry"))
    assert world.rejection().details["job_id"] == "j1"
    world.rollback()
    world.complete()
    world.check(0)
    world.send(StartJob(job_id="real", dry_run="dry"))
    assert world.job("real").state is State.RUNNING


def test_a_job_that_is_resumed_before_its_time_says_why_it_fails() -> None:
    world = FileWorld()
    world.send(replace(sent("j1"), start_at=at(1000)))
    world.create("j2")
    world.complete("j2")
    world.resume("j1")
    job, told = world.job("j1"), world.history[-1]
    assert (job.state, "resume this job only if" in (job.reason or "")) == (State.FAILED, True)
    assert isinstance(told, JobEvent) and (told.event, told.reason) == ("Failed", job.reason)


def test_of_two_at_once_the_second_is_refused_or_judged_at_its_turn() -> None:
    world = FileWorld()
    world.create("j1")
    world.create("j2")
    assert "two at once" in world.rejection().message
    world.create("j2", if_busy="queue")
    world.create("j3", if_busy="queue")
    world.send(sent("j4", replace(FILE, sha256="b2"), if_busy="queue"))
    assert [world.job(name).state for name in ("j2", "j3", "j4")] == [State.QUEUED] * 3
    world.complete("j1")
    for name in ("j2", "j3"):
        job = world.job(name)
        assert (job.state, "resume this job only if" in (job.reason or "")) == (State.FAILED, True)
        told = next(r for r in world.history if isinstance(r, JobEvent) and r.job_id == name and r.event == "Failed")
        assert told.reason == job.reason
    assert world.job("j4").state is State.RUNNING, "the next one in the queue has its turn"
    world.complete("j4")
    world.resume("j2")
    assert (world.job("j2").state, world.plans[-1].job_id) == (State.RUNNING, "j2")
    world.rollback("j3")
    assert world.job("j3").state is State.ROLLED_BACK


def test_the_queued_file_is_applied_if_the_first_is_taken_out() -> None:
    world = FileWorld()
    world.create("j1")
    world.create("j2", if_busy="queue")
    world.terminate("j1")
    world.send(rested(world.job("j1"), (0, 1), LaneTotals()))
    world.check(0)
    assert (world.job("j1").state, world.job("j2").state) == (State.ROLLED_BACK, State.RUNNING)
