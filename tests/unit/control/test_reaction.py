"""What is recorded and planned for a command, and what the agent does with records that it has seen or can't read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from control.agent import ControlAgent
from control.creation.inspection import INSPECTED_ROWS
from control.jobtable import JobTable
from control.machine.context import Context
from control.outbox import Written
from control.reaction import Reaction, react
from schemas.job import Input, Job, Options, Source, State
from schemas.messages.commands import CreateJob, InputAdvanced, InputFailed, PauseJob, SetRate
from schemas.messages.events import JobEvent
from schemas.messages.plans import CutExport, ReadFile, UndoRows
from tests.support.in_memory.control import (
    CATALOG,
    PARTITIONS,
    REQUESTS,
    World,
    at,
    lanes_done,
    rested,
    run,
    upload,
    world_in,
)


def context(offset: int) -> Context:
    return Context(offset, at(offset), PARTITIONS, CATALOG, lambda key: None)


def last_event(world: World) -> JobEvent:
    record = world.history[-1]
    assert isinstance(record, JobEvent)
    return record


def test_the_audit_trail_says_what_happened_when_who_asked_and_why() -> None:
    world = world_in(State.RUNNING)
    world.send(PauseJob(job_id="j1", by="bob", reason="the columns look swapped"))
    record = last_event(world)
    assert (record.event, record.by, record.reason) == ("PauseRequested", "bob", "the columns look swapped")
    assert (record.command_offset, record.at, record.state) == (1, at(1), State.PAUSING)
    assert record.job == world.job(), "reports are rebuilt from it"
    assert world.job().reason == "the columns look swapped"


def test_what_a_job_does_by_itself_has_nobody_who_asked() -> None:
    world = world_in(State.PAUSED)
    assert (last_event(world).event, last_event(world).by) == ("Paused", None)


def test_a_failure_is_recorded_with_its_reason() -> None:
    world = world_in(State.RUNNING)
    world.send(InputFailed(job_id="j1", reason="people.csv has been removed"))
    assert (last_event(world).event, last_event(world).reason) == ("Failed", "people.csv has been removed")
    assert world.job().reason == "people.csv has been removed"


def test_a_new_rate_does_not_hide_why_a_job_failed() -> None:
    world = world_in(State.FAILED)
    world.send(SetRate(job_id="j1", rows_per_second=10, reason="go slowly"))
    assert world.job().reason == "the disk is full"
    assert last_event(world).reason == "go slowly"


def test_reports_that_tell_an_operator_nothing_stay_out_of_the_audit_trail() -> None:
    world = world_in(State.PAUSING)
    records = len(world.history)
    world.rest(0)
    world.lanes_done(0)
    assert len(world.history) == records
    assert set(world.job().lanes_rested) == {0}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", REQUESTS)
def test_what_has_been_seen_is_skipped(state: State, name: str) -> None:
    job = world_in(state).job()
    for offset in (0, job.command_offset):
        assert react(job, REQUESTS[name], context(offset)) == Reaction()


def test_history_comes_before_the_plan_and_the_plan_before_the_state() -> None:
    """So that a crash in between repeats the first two and never loses them."""
    world = World()
    order: list[str] = []

    async def publish(records: Sequence[Written]) -> None:
        order.extend(record.topic for record in records)
        assert {record.key for record in records} == {b"j1"}

    world.publish = publish
    world.create()
    assert order == ["job-events", "job-events", "plans", "jobs"]


@pytest.mark.parametrize(
    ("value", "command", "words"),
    [
        (b"hello", "?", "malformed"),
        (b'{"type": "Explode", "job_id": "j1"}', "?", "Explode"),
        (b'{"type": "PauseJob"}', "?", "job_id"),
        (b'{"type": "SetRate", "job_id": "j1", "rows_per_second": "fast"}', "SetRate", "rows_per_second"),
        (b'{"type": "PauseJob", "job_id": "j1", "resaon": "x"}', "PauseJob", "resaon"),
    ],
)
def test_a_record_that_is_no_command_is_answered_and_the_next_one_carried_out(
    value: bytes, command: str, words: str
) -> None:
    world = world_in(State.RUNNING)
    world.send(value)
    refusal = world.rejection()
    assert (refusal.code, refusal.command, refusal.job_id, refusal.command_offset) == (400, command, "j1", 1)
    assert words in refusal.message
    world.pause()
    assert world.state is State.PAUSING


def test_a_file_is_read_by_the_plan_of_its_epoch() -> None:
    world = world_in(State.RUNNING)
    job = world.job()
    assert world.plans == [
        ReadFile(
            job_id="j1",
            epoch=job.epoch,
            command_offset=job.command_offset,
            partitions=PARTITIONS,
            dataset="people",
            source=upload().source,
            ahead_rows=INSPECTED_ROWS,
        )
    ]


def test_an_export_is_cut_by_its_plan() -> None:
    world = World()
    world.send(
        CreateJob(
            job_id="j1",
            operation="export",
            dataset="people",
            organisation="acme",
            source=Source(kind="query"),
            date_from="2026-01-01",
            date_till="2026-01-31",
        )
    )
    plan = world.plans[0]
    assert isinstance(plan, CutExport)
    assert (plan.dataset, plan.organisation) == ("people", "acme")
    assert (plan.date_from, plan.date_till) == ("2026-01-01", "2026-01-31")


def test_rows_that_come_by_a_topic_need_no_plan_but_their_rollback_does() -> None:
    world = World()
    world.send(replace(upload(), source=Source(kind="topic")))
    assert world.state is State.RUNNING and not world.plans
    world.terminate()
    world.rest()
    (plan,) = world.plans
    assert isinstance(plan, UndoRows) and plan.run == world.job().run == 1


def test_each_plan_has_an_epoch_of_its_own_so_that_readers_know_which_one_is_void() -> None:
    world = world_in(State.ROLLBACK_PAUSED)
    world.resume()
    epochs = [plan.epoch for plan in world.plans]
    assert epochs == sorted(set(epochs))
    assert epochs[-1] == world.job().epoch


def test_nothing_is_planned_when_everything_is_read() -> None:
    world = world_in(State.RUNNING)
    world.end_input()
    world.pause()
    world.rest()
    world.resume()
    assert len(world.plans) == 1


def test_a_resumed_rollback_goes_on_from_its_own_checkpoint() -> None:
    world = world_in(State.ROLLING_BACK)
    halfway = Input(blocks=3, rows=9)
    world.send(InputAdvanced(job_id="j1", phase="undo", run=world.job().run, input=halfway))
    world.pause()
    world.rest()
    world.resume()
    plan = world.plans[-1]
    assert isinstance(plan, UndoRows) and plan.checkpoint == halfway
    assert world.job().input == Input(), "that of the file is another one"


# -- the control table -----------------------------------------------------------------------------------------------


def test_a_state_in_the_table_never_goes_back() -> None:
    """An agent that has lost its partition, and did not notice yet, may still write."""
    old = world_in(State.RUNNING).job()
    new = world_in(State.PAUSED).job()
    table, heard = JobTable(), list[tuple[str, Job | None]]()
    table.listen(lambda job_id, job: heard.append((job_id, job)))
    assert table.put(new)
    assert not table.put(old)
    assert not table.put(new)
    assert table.get("j1") is new
    table.remove("j1")
    table.remove("j1")
    assert heard == [("j1", new), ("j1", None)]
    assert table.get("j1") is None and len(table) == 0


def test_the_start_of_a_queued_job_is_newer_than_its_waiting() -> None:
    """It may come without a command of its own, and then has the same offset."""
    table = JobTable()
    waiting = world_in(State.QUEUED).job()
    table.put(waiting)
    assert table.put(replace(waiting, state=State.RUNNING, epoch=waiting.epoch + 1))


def test_a_proof_is_kept_as_it_was_reported() -> None:
    world = world_in(State.PAUSING)
    report = rested(world.job())
    world.send(report)
    assert world.job().lanes_rested == report.lanes


def test_a_job_that_a_successor_starts_has_begun_behind_the_one_it_waited_for() -> None:
    """Its before-images are ordered by that: else a rollback would give back what the other job had written."""
    world = World()
    world.create("a")
    world.send(replace(upload("b"), options=Options(if_busy="queue")))
    while len(world.log) < 9:
        world.send(SetRate(job_id="a", rows_per_second=5))
    world.end_input(job_id="a")
    written = world.publish

    class CrashError(Exception):
        """The agent has ended."""

    async def cut(records: Sequence[Written]) -> None:
        states = [record for record in records if record.topic == "jobs"]
        await written(records if len(states) < 2 else records[:1])
        if len(states) > 1:
            raise CrashError

    world.publish = cut
    with pytest.raises(CrashError):
        world.send(lanes_done(world.job("a")))
    assert (world.states[-1].id, world.states[-1].state) == ("a", State.COMPLETED), "the start of b is not written"
    jobs = JobTable()
    for state in world.states:
        jobs.put(state)
    successor = ControlAgent(jobs, CATALOG, 2, written)
    run(successor.take_over(at(60), len(world.log)))
    ended, begun = jobs.get("a"), jobs.get("b")
    assert ended is not None and begun is not None
    assert (begun.state, begun.command_offset >= ended.command_offset) == (State.RUNNING, True)
