"""A job that is made before its file comes."""

from __future__ import annotations

from msgspec.structs import replace

from schemas.job import Format, Options, Source, State
from schemas.messages.commands import CreateJob, ResumeJob, StartDraft, TimerDue
from schemas.messages.formats import TIMERS
from schemas.messages.plans import ReadFile
from tests.support.in_memory.control import World, at, upload, world_in

FILE = Source(path="sources/j1/people.csv", name="people.csv", sha256="a1", bytes=9)


def start(world: World, source: Source = FILE) -> None:
    world.send(StartDraft(job_id="j1", by="ada", source=source))


def draft(**options: object) -> CreateJob:
    return replace(upload(**options), source=Source(name="people.csv"), draft=True)


def test_it_holds_nothing_and_starts_with_its_file() -> None:
    world = world_in(State.DRAFT)
    world.create("j2")
    assert world.job("j2").state is State.RUNNING, "a draft does not hold the exclusive key"
    assert not [plan for plan in world.plans if plan.job_id == "j1"]
    start(world)
    assert "two at once" in world.rejection().message
    assert world.state is State.DRAFT, "it can be started later"
    world.complete("j2")
    start(world)
    assert (world.state, world.job().source) == (State.RUNNING, FILE)
    assert isinstance(world.plans[-1], ReadFile) and world.plans[-1].source == FILE
    assert world.events() == ["Created", "FileReceived", "Started"]
    states = len(world.states)
    start(world)
    assert (world.job().command_offset, len(world.states)) == (len(world.log) - 1, states + 1), "a repeat succeeds"
    start(world, replace(FILE, sha256="b2"))
    assert "has its file already" in world.rejection().message


def test_it_waits_in_the_queue_if_it_may() -> None:
    world = World()
    world.send(draft(if_busy="queue"))
    world.create("j2")
    start(world)
    assert world.state is State.QUEUED
    world.complete("j2")
    assert world.state is State.RUNNING


def test_it_may_start_at_a_time_that_its_start_says() -> None:
    world = World()
    world.send(replace(draft(), start_at=at(4000)))
    world.send(StartDraft(job_id="j1", source=FILE, start_at=at(5000)))
    assert (world.state, world.job().start_at, world.job().needs >= TIMERS) == (State.QUEUED, at(5000), True)
    states = len(world.states)
    world.send(StartDraft(job_id="j1", source=FILE, start_at=at(6000)))
    assert (world.job().start_at, len(world.states)) == (at(5000), states + 1), "a repeat succeeds"
    world.send(TimerDue(job_id="j1", due_at=at(5000)))
    assert world.state is State.QUEUED, "its time has not come"
    world.send(ResumeJob(job_id="j1"))
    assert world.events() == ["Created", "FileReceived", "TimerSet", "TimerSet", "Started"]


def test_a_time_that_has_just_gone_by_starts_it_at_once() -> None:
    world = World()
    world.send(replace(draft(), start_at=at(4000)))
    world.send(StartDraft(job_id="j1", source=FILE, start_at=at(0)))
    assert (world.state, world.job().start_at) == (State.RUNNING, None)


def test_the_same_file_is_refused_when_it_is_known() -> None:
    world = World()
    world.send(replace(upload("j2"), source=FILE))
    world.complete("j2")
    world.send(draft())
    start(world)
    assert (world.rejection().details["job_id"], world.state) == ("j2", State.DRAFT)


def test_a_file_that_does_not_fit_is_refused() -> None:
    world = World()
    world.send(draft())
    for source, words in (
        (Source(), "source.path and source.sha256"),
        (replace(FILE, columns={"a": "b"}), "no column of dataset people"),
        (replace(FILE, format=Format(delimiter='"')), "source.format.delimiter"),
    ):
        start(world, source)
        assert words in world.rejection().message
    world.send(replace(draft(), job_id="j3", options=Options(delimiter=";")))
    world.send(StartDraft(job_id="j3", source=FILE))
    assert "source.format" in world.rejection().message
    assert world.state is State.DRAFT


def test_a_draft_with_a_file_or_of_rows_from_the_inbox_is_refused() -> None:
    for source in (FILE, Source(kind="topic")):
        world = World()
        world.send(replace(draft(), source=source))
        assert "a draft is of a job that reads a file" in world.rejection().message


def test_it_is_terminated_without_a_trace() -> None:
    world = world_in(State.DRAFT)
    world.terminate()
    assert (world.state, world.job().started_at, world.plans) == (State.ROLLED_BACK, None, [])
    start(world)
    assert world.rejection().code == 409
