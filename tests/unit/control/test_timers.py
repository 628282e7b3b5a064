"""Jobs that go on by themselves at a time: each timer has its effect once, whatever comes twice or too early."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from control.outbox import Written
from control.predicates import paused_itself
from control.timers import due, timer_of
from processor.execution.timers import AGAIN_SECONDS, MOST_SENT, Timers
from runtime.clock import Clock
from schemas.job import Source, State
from schemas.messages.codec import decode, encode
from schemas.messages.commands import (
    Command,
    CreateJob,
    PauseJob,
    ResumeJob,
    RowsInspected,
    SetRate,
    StartJob,
    TerminateJob,
    TimerDue,
)
from schemas.messages.formats import FORMAT
from schemas.suspicion import Suspicion
from schemas.topics import DAY_MS
from tests.support.in_memory.control import World, at, rested, run, upload, world_in

S = State


def paused(resume_at: int | None) -> World:
    world = World()
    world.create()
    world.send(PauseJob(job_id="j1", by="ada", reason="lunch", resume_at=resume_at))
    world.rest()
    return world


def test_a_paused_job_goes_on_at_its_time_and_once() -> None:
    world = paused(at(10))
    assert (world.state, world.job().resume_at) == (S.PAUSED, at(10))
    timer = TimerDue(job_id="j1", due_at=at(10))
    world.send(timer)
    assert world.state is S.PAUSED, "by the time of its record it is too early"
    while len(world.log) < 10:
        world.send(SetRate(job_id="j1", rows_per_second=5))
    assert world.job().resume_at == at(10), "a rate does not say when the job runs"
    world.send(timer)
    assert (world.state, world.job().resume_at, world.job().reason) == (S.RUNNING, None, None)
    world.send(timer)
    world.deliver(len(world.log) - 2)
    assert world.events().count("Resumed") == 1
    assert [record.by for record in world.history if getattr(record, "event", "") == "Resumed"] == ["timer"]


@pytest.mark.parametrize(
    ("command", "state"),
    [
        (PauseJob(job_id="j1"), S.PAUSED),
        (PauseJob(job_id="j1", resume_at=at(500)), S.PAUSED),
        (ResumeJob(job_id="j1"), S.RUNNING),
        (TerminateJob(job_id="j1"), S.ROLLING_BACK),
    ],
)
def test_any_other_command_cancels_the_timer(command: Any, state: State) -> None:
    world = paused(at(10))
    world.send(command)
    assert world.state is state
    while len(world.log) < 10:
        world.send(SetRate(job_id="j1", rows_per_second=5))
    world.send(TimerDue(job_id="j1", due_at=at(10)))
    assert world.state is state
    assert timer_of(world.job()) == getattr(command, "resume_at", None)


def test_a_second_pause_sets_another_time_and_leaves_the_reason() -> None:
    world = paused(None)
    world.send(PauseJob(job_id="j1", resume_at=at(99)))
    assert (world.state, world.job().resume_at, world.job().reason) == (S.PAUSED, at(99), "lunch")
    assert world.events()[-1] == "TimerSet"


def test_a_job_made_for_a_time_starts_then_or_queues() -> None:
    world = World()
    world.send(replace(upload("j1"), start_at=at(5)))
    world.create("j2")
    assert (world.state, world.job("j2").state) == (S.QUEUED, S.RUNNING), "until then it is in nobody's way"
    assert due(world.jobs, at(4)) == []
    while len(world.log) < 5:
        world.send(SetRate(job_id="j2", rows_per_second=5))
    world.send(due(world.jobs, at(5))[0])
    assert (world.state, world.job().start_at) == (S.QUEUED, None), "the other job is in its way now"
    world.terminate("j2", keep_rows=True)
    world.rest(job_id="j2")
    assert world.state is S.RUNNING


def test_a_job_made_for_a_time_can_be_started_before_or_terminated() -> None:
    world = World()
    world.send(replace(upload("j1"), start_at=at(500)))
    world.resume()
    assert (world.state, world.job().start_at) == (S.RUNNING, None)
    world.send(replace(upload("j3"), organisation="other", start_at=at(500)))
    world.terminate("j3")
    assert world.job("j3").state is S.ROLLED_BACK


@pytest.mark.parametrize(
    ("resume_at", "words"),
    [(at(0) - 120_000, "has gone by"), (at(0) + 14 * DAY_MS, "at most 13 days after")],
)
def test_a_time_that_can_not_be_is_refused(resume_at: int, words: str) -> None:
    world = World()
    world.create()
    world.send(PauseJob(job_id="j1", resume_at=resume_at))
    assert words in world.rejection().message
    assert world.state is S.RUNNING


HELD: dict[str, Any] = {
    "pausing": lambda: world_in(S.PAUSING),
    "paused": lambda: world_in(S.PAUSED),
    "rollback paused": lambda: world_in(S.ROLLBACK_PAUSED),
    "proved late": lambda: proved_after(world_in(S.PAUSING), DAY_MS // 2),
}


def send_at(world: World, when: int, command: Command) -> None:
    """Have a command carried out whose record is of this time."""
    world.log.append(encode(command))
    run(world.agent.handle(len(world.log) - 1, when, b"j1", world.log[-1]))


def proved_after(world: World, length: int) -> World:
    send_at(world, (world.job().state_since or 0) + length, rested(world.job()))
    return world


@pytest.mark.parametrize("way", list(HELD))
@pytest.mark.parametrize("hours", [1, 24, 300, 311])
def test_a_pause_is_not_longer_than_rows_are_kept_however_often_its_time_is_set(way: str, hours: int) -> None:
    world = HELD[way]()
    asked_at = next(record.at for record in world.history if getattr(record, "event", "") == "PauseRequested")
    since, pause = world.job().state_since, PauseJob(job_id="j1", by="ada")
    for step in range(1, 40 * 24 // hours + 1):
        now = since + step * hours * 3_600_000
        for ahead in (13 * DAY_MS, 6 * DAY_MS, 3_600_000):
            before, wanted = world.job().resume_at, now + ahead
            send_at(world, now, replace(pause, resume_at=wanted))
            may_be = wanted <= since + 13 * DAY_MS
            assert world.job().resume_at == (wanted if may_be else before)
            if not may_be:
                assert (
                    world.rejection().code == 400
                    and "at most 13 days after the pause begins" in world.rejection().message
                )
        assert (world.job().resume_at or 0) < asked_at + 14 * DAY_MS
    send_at(world, since + 50 * DAY_MS, pause)
    assert world.job().resume_at is None, "without a time it may stay"


def test_a_job_that_has_gone_on_meanwhile_may_be_paused_for_as_long_again() -> None:
    world = world_in(S.PAUSED)
    since = world.job().state_since or 0
    send_at(world, since + 12 * DAY_MS, ResumeJob(job_id="j1"))
    send_at(world, since + 13 * DAY_MS, PauseJob(job_id="j1", resume_at=since + 25 * DAY_MS))
    assert world.job().resume_at == since + 25 * DAY_MS


def spent(world: World) -> None:
    world.count(0, 0, 1000)


def suspected(world: World) -> None:
    odd = Suspicion(kind="exchanged", columns=("name", "email"), fit=1.0, rows=1000, message="they look exchanged")
    world.send(RowsInspected(job_id="j1", epoch=world.job().epoch, suspicion=odd, own_rows=1000))


STOPS: dict[str, Any] = {"for its row errors": spent, "for its first rows": suspected}


@pytest.mark.parametrize("cause", list(STOPS))
@pytest.mark.parametrize("has_rested", [False, True])
def test_a_job_that_has_paused_itself_takes_no_time(cause: str, has_rested: bool) -> None:
    """It may have come between a look at the job and a pause until a time."""
    world = World(max_errors=0)
    world.create()
    STOPS[cause](world)
    if has_rested:
        world.rest()
    before = world.job()
    world.send(PauseJob(job_id="j1", by="bob", reason="lunch", resume_at=at(900)))
    refused = world.rejection()
    assert (refused.code, world.job()) == (409, before)
    assert before.reason and before.reason in refused.message and "resume it and then pause it" in refused.message
    world.pause()
    assert world.job() == replace(before, command_offset=world.job().command_offset), "without a time it is a repeat"
    if not has_rested:
        world.rest()
    world.resume()
    world.send(PauseJob(job_id="j1", by="bob", resume_at=at(900)))
    assert (world.state, world.job().resume_at) == (S.PAUSING, at(900))


@settings(deadline=None, max_examples=200)
@given(steps=st.lists(st.sampled_from(["pause", "pause until", "timer", "rest", *STOPS]), max_size=12))
def test_only_somebody_who_resumes_it_has_a_job_go_on_that_has_paused_itself(steps: list[str]) -> None:
    world = World(max_errors=0)
    world.create()
    for step in steps:
        job = world.job()
        match step:
            case "pause until":
                world.send(PauseJob(job_id="j1", by="bob", resume_at=at(len(world.log) + 2)))
            case "timer":
                later(world, len(world.log) + 5)
                for timer in due(world.jobs, at(len(world.log))):
                    world.send(timer)
            case "rest" if job.state is S.PAUSING:
                world.rest()
            case "pause":
                world.pause()
            case _ if step in STOPS:
                STOPS[step](world)
        assert "waived" not in (world.job().budget, world.job().inspection)
        assert not paused_itself(world.job()) or world.job().resume_at is None


def later(world: World, offset: int) -> World:
    """The same, when the next command has this offset and its time."""
    world.log += [b""] * (offset - len(world.log))
    return world


def _dry(world: World) -> None:
    world.create("dry", dry_run=True)
    world.complete("dry")


CREATIONS: list[Any] = [
    upload(),
    upload(dry_run=True),
    replace(upload(), draft=True, source=Source(name="people.csv")),
    StartJob(job_id="j1", dry_run="dry"),
]


@pytest.mark.parametrize("creation", CREATIONS)
@pytest.mark.parametrize("has_begun", [True, False])
def test_a_creation_that_comes_again_when_its_time_has_gone_by_is_the_same_request(
    creation: Any, has_begun: bool
) -> None:
    world = World()
    _dry(world)
    asked = replace(creation, start_at=at(50))
    world.send(asked)
    if has_begun:
        later(world, 50)
        for timer in due(world.jobs, at(50)):
            world.send(timer)
    before, told = world.job(), len(world.history)
    world = later(world, 5000)
    world.send(asked)
    assert world.history[told:] == []
    assert replace(world.job(), command_offset=before.command_offset) == before
    changed = {"dry_run": "else"} if isinstance(creation, StartJob) else {"organisation": "else"}
    world.send(replace(creation, start_at=at(40), **changed))
    assert world.rejection().code in (404, 409), "of another one the time is no matter either"


@pytest.mark.parametrize("creation", CREATIONS)
def test_a_time_that_has_gone_by_makes_no_job(creation: Any) -> None:
    world = World()
    _dry(world)
    later(world, 5000).send(replace(creation, start_at=at(50)))
    assert world.rejection().code == 400 and "has gone by" in world.rejection().message
    assert world.jobs.get("j1") is None


KINDS_OF_ROWS = {
    "topic": (Source(kind="topic"), 13),
    "file": (Source(path="a.csv", sha256="a1", bytes=9), 366),
    "query": (Source(kind="query"), 366),
}


@pytest.mark.parametrize("kind", KINDS_OF_ROWS)
@pytest.mark.parametrize("more_ms", [0, 1])
def test_a_start_is_no_later_than_the_rows_are_kept_that_come_before_it(kind: str, more_ms: int) -> None:
    """Each kind of source: rows of a file and of a query are read when the job starts."""
    assert set(KINDS_OF_ROWS) == set(get_args(get_type_hints(Source)["kind"]))
    source, days = KINDS_OF_ROWS[kind]
    asked = CreateJob(
        job_id="j1", operation="export" if kind == "query" else "upload", dataset="people", source=source,
        date_from="2026-01-01" if kind == "query" else None, start_at=at(0) + days * DAY_MS + more_ms,
    )  # fmt: skip
    world = World()
    world.send(asked)
    if more_ms:
        assert world.jobs.get("j1") is None
        assert world.rejection().code == 400 and f"at most {days} days ahead" in world.rejection().message
    else:
        assert world.state is S.QUEUED


class Ticking:
    """A clock that stands until it is set."""

    now, seconds = 0, 0.0

    def clock(self) -> Clock:
        return Clock(now_ms=lambda: self.now, monotonic=lambda: self.seconds)


def test_the_worker_appends_what_is_due_again_only_after_a_while() -> None:
    world, clock, sent = paused(at(10)), Ticking(), []
    owns = True

    async def publish(records: Sequence[Written]) -> None:
        sent.extend(decode(record.value, Command) for record in records)

    timers = Timers(world.jobs, publish, lambda: owns, clock.clock())
    clock.now = at(10) - 1
    run(timers.look())
    assert sent == []
    clock.now = at(10)
    run(timers.look())
    run(timers.look())
    assert sent == [TimerDue(job_id="j1", due_at=at(10))]
    clock.seconds += AGAIN_SECONDS
    run(timers.look())
    assert len(sent) == 2
    owns = False
    run(timers.look())
    owns = True
    run(timers.look())
    assert len(sent) == 3, "a successor knows nothing of what was appended"


def test_of_many_timers_of_one_time_some_are_appended_and_the_others_when_these_have_had_their_effect() -> None:
    world, clock, sent = World(), Ticking(), list[Command]()
    names = [f"j{number:03d}" for number in range(2 * MOST_SENT + 5)]
    for name in reversed(names):
        world.send(replace(upload(name, dry_run=True), start_at=at(10_000 + int(name[1:]))))

    async def publish(records: Sequence[Written]) -> None:
        sent.extend(decode(record.value, Command) for record in records)

    timers = Timers(world.jobs, publish, lambda: True, clock.clock())
    clock.now = at(20_000)
    later(world, 20_000)
    run(timers.look())
    run(timers.look())
    assert [command.job_id for command in sent] == names[:MOST_SENT], "those that are due for the longest time"
    for command in sent[:7]:
        world.send(command)
    run(timers.look())
    assert [command.job_id for command in sent[MOST_SENT:]] == names[MOST_SENT : MOST_SENT + 7]
    clock.seconds += AGAIN_SECONDS
    run(timers.look())
    assert [command.job_id for command in sent[MOST_SENT + 7 :]] == names[7 : MOST_SENT + 7], "once more"
    for _ in range(3):
        for command in sent:
            world.send(command)
        run(timers.look())
    assert all(world.job(name).state is S.RUNNING for name in names), "none is forgotten"


def test_a_job_of_a_newer_version_waits_for_a_worker_that_understands_it() -> None:
    world, clock, sent = paused(at(10)), Ticking(), []
    job = world.job()
    world.jobs.put(replace(job, needs=FORMAT + 1, command_offset=job.command_offset + 1))
    assert world.jobs.not_understood == {"j1"}

    async def publish(records: Sequence[Written]) -> None:
        sent.extend(records)

    clock.now = at(20)
    run(Timers(world.jobs, publish, lambda: True, clock.clock()).look())
    assert sent == [], "its timer would come back again and again, and hold up what others ask for"
