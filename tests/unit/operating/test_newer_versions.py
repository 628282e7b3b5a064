"""What a process does with states, plans and rows of jobs that a newer version has written: nothing, and it says so."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from control.creation.starting import real_job
from control.jobtable import JobTable
from control.newer_states import read_history
from control.outbox import Written
from control.predicates import quiescing, runnable, understood
from ingest.inbox.acceptance import takes_rows
from ingest.plan_validity import PlanValidity, judge
from ingest.reader import format_of
from schemas.job import Input, Job, Options, Source, State
from schemas.messages.codec import UndecodableError, decode, encode
from schemas.messages.commands import InputAdvanced, PauseJob, StartJob
from schemas.messages.events import CommandRejected, JobEvent
from schemas.messages.formats import FORMAT, format_headers
from schemas.messages.plans import ReadFile
from tests.support.in_memory.control import World, run
from tests.support.strategies.fuzzing import RAW, objects_in, with_raw

NEXT = FORMAT + 1


def state(**more: Any) -> bytes:
    """A job's state, with what a newer version has put into it."""
    job = Job(
        id="j", operation="upload", dataset="people", organisation="o", created_by="t", state=State.RUNNING,
        created_at=1, command_offset=5, partitions=2, epoch=3, source=Source(kind="topic"),
    )  # fmt: skip
    return msgspec.json.encode({**msgspec.to_builtins(job), **more})


NEWER = {
    "needs": {"needs": NEXT},
    "a new option": {"options": {"dry_run": True, "colour": "red"}},
    "a new state": {"state": "FREEZING"},
    "a new shape": {"needs": NEXT, "retry": "nowhere", "budget": {"left": 3}},
}


@pytest.mark.parametrize("more", NEWER.values(), ids=NEWER)
def test_a_job_that_is_not_understood_is_left_alone(more: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    table = JobTable()
    job = table.apply(b"j", state(**more))
    assert job is not None and table.not_understood == {"j"} and not understood(job)
    assert (job.epoch, job.partitions, job.command_offset) == (3, 2, 5)
    assert not runnable(job)
    plan = ReadFile(job_id="j", epoch=3, command_offset=5, partitions=2, dataset="people", source=Source())
    assert judge(plan, job, lambda _: True) is PlanValidity.WAIT
    assert "leaves it alone" in caplog.text or ("needs" in more and len(more) == 1)
    table.apply(b"j", state(command_offset=6))
    assert table.not_understood == set()


def test_fields_that_mean_nothing_to_this_version_are_passed_over() -> None:
    table = JobTable()
    job = table.apply(b"j", state(colour="red", source={"kind": "topic", "smell": 7}))
    assert job is not None and understood(job) and runnable(job) and takes_rows(job)


@pytest.mark.parametrize(
    "value",
    [b"{}", b"[]", state(needs="much"), state(state="?"), state(created_at="x"), state(options=3), state(epoch=-1)],
    ids=str,
)
def test_what_no_version_writes_is_no_state(value: bytes) -> None:
    with pytest.raises(UndecodableError):
        JobTable().apply(b"j", value)


def test_a_stop_of_such_a_job_can_still_be_proved() -> None:
    job = JobTable().apply(b"j", state(state="PAUSING", options={"colour": "red"}))
    assert job is not None and quiescing(job)


def test_the_control_agent_refuses_requests_and_puts_reports_back(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    written: list[tuple[str, bytes, bytes | None]] = []

    async def noted(records: Sequence[Written]) -> None:
        written.extend((topic, key, value) for topic, key, value, _ in records)
        await world.take(records)

    world.publish, world.sleep = noted, sleep
    world.jobs.apply(b"j", state(needs=NEXT))
    published = len(world.history)
    run(world.agent.handle(10, 1, b"j", encode(PauseJob(job_id="j", by="ann"))))
    refusal = world.history[-1]
    assert isinstance(refusal, CommandRejected) and refusal.code == 409 and "newer version" in refusal.message
    assert len(world.history) == published + 1
    report = encode(InputAdvanced(job_id="j", input=Input(blocks=3, rows=300)))
    written.clear()
    for offset in (11, 12, 13):
        run(world.agent.handle(offset, 1, b"j", report))
    assert written == [("reports", b"j", report)] * 3
    assert len(slept) == 2 and len(world.history) == published + 1
    world.jobs.apply(b"j", state(command_offset=9))
    run(world.agent.handle(14, 1, b"j", report))
    known = world.jobs.get("j")
    assert known is not None and known.input.blocks == 3 and written[-1][0] == "jobs"


def test_a_dry_run_of_a_newer_version_is_not_started() -> None:
    job = JobTable().apply(b"j", state(options={"dry_run": True, "colour": "red"}))
    answer = real_job(StartJob(job_id="k", dry_run="j"), job)
    assert "newer version" in str(answer)


def test_the_history_of_such_a_job_is_read() -> None:
    known = Job(
        id="j", operation="upload", dataset="people", organisation="o", created_by="t", state=State.RUNNING,
        created_at=1, command_offset=5, partitions=2,
    )  # fmt: skip
    event = JobEvent(job_id="j", command_offset=5, at=1, event="Thawed", state=State.RUNNING, job=known)
    fields = msgspec.to_builtins(event)
    assert read_history(encode(event)) == event
    fields["job"]["options"] = {"colour": "red", "max_errors": 7}
    fields["job"]["state"] = fields["state"] = "FREEZING"
    read = read_history(msgspec.json.encode(fields))
    assert read.event == "Thawed" and read.job.options == Options(max_errors=7)
    for broken in (b"{", b"{}", encode({**fields, "job": 3})):
        with pytest.raises(UndecodableError):
            read_history(broken)


ODD: tuple[Any, ...] = (
    None,
    True,
    -5,
    0,
    2.5,
    1e300,
    2**62,
    10**25,
    "",
    "abc",
    [],
    [1],
    {},
    {"a": 1},
    "\0",
    "x" * 3000,
)


@pytest.mark.parametrize("name", Job.__struct_fields__)
def test_nothing_in_a_state_of_a_newer_version_ends_a_process(name: str) -> None:
    """Every worker and every reader reads all states at its start, and leaves out what is none."""
    for odd in ODD:
        for newer in ({"needs": NEXT}, {"state": "FREEZING"}, {"options": {"colour": "red"}}):
            value = state(**{**newer, name: odd})
            rest = JobTable()
            try:
                rest.apply(b"j", value)
            except UndecodableError:
                assert not list(rest)
            event = {"type": "event", "job_id": "j", "command_offset": 1, "at": 1, "event": "Thawed"}
            with suppress(UndecodableError):
                read_history(encode({**event, "state": "FREEZING", "job": msgspec.json.decode(value)}))


@pytest.mark.parametrize("raw", RAW, ids=lambda raw: raw[:10])
def test_no_bytes_in_a_state_end_a_process(raw: bytes) -> None:
    table = JobTable()
    value = msgspec.json.decode(state(state="FREEZING", retry={"kind": "file"}))
    for place in range(objects_in(value)):
        with suppress(UndecodableError):
            table.apply(b"j", with_raw(value, raw, place))


@pytest.mark.parametrize("odd", ODD)
def test_a_state_that_says_oddly_what_it_needs_is_left_alone_if_it_is_a_newer_ones(odd: Any) -> None:
    job = JobTable().apply(b"j", state(state="FREEZING", needs=odd))
    assert job is not None and job.needs == NEXT and not understood(job)


def test_requests_are_read_strictly_and_reports_are_not() -> None:
    report = msgspec.to_builtins(InputAdvanced(job_id="j", input=Input(blocks=3)))
    assert decode(msgspec.json.encode({**report, "colour": "red"}), InputAdvanced).input.blocks == 3
    request = msgspec.to_builtins(PauseJob(job_id="j"))
    with pytest.raises(UndecodableError):
        decode(msgspec.json.encode({**request, "colour": "red"}), PauseJob)


def test_every_record_says_which_version_of_the_messages_it_is_of() -> None:
    assert format_of(format_headers()) == FORMAT
    assert format_of(None) == format_of([("other", b"1")]) == format_of([("sluice-format", b"x")]) == 0


def test_a_job_of_this_version_needs_nothing_newer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    job: Job = decode(state(), Job)
    assert job.needs <= FORMAT and not caplog.records
