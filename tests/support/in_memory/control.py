"""The control agent in a world of lists: no Kafka, no clock, no event loop."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from msgspec.structs import replace

from control.agent import ControlAgent
from control.creation.admission import Catalog, Kind
from control.jobtable import JobTable
from control.outbox import Publish, Written
from runtime.datasets import load_datasets
from schemas.bounds import LAST_MOMENT
from schemas.job import Input, Job, LaneTotals, Options, RestedLane, Source, State
from schemas.messages.codec import UndecodableError, decode, encode
from schemas.messages.commands import (
    Command,
    CreateJob,
    InputEnded,
    InputFailed,
    LanesCounted,
    LanesDone,
    LanesRested,
    PauseJob,
    PurgeJob,
    ResumeJob,
    RetryErrors,
    RollbackJob,
    SetRate,
    TerminateJob,
    UndoChecked,
    WorkFailed,
)
from schemas.messages.events import CommandRejected, History, JobEvent
from schemas.messages.plans import Plan
from schemas.policies.quotas import QuotaBook

PARTITIONS = 2
CATALOG = Catalog(
    {
        "upload": Kind(frozenset({"file", "topic"})),
        "teams": Kind(frozenset({"file"}), dataset="teams", repeatable=True),
        "export": Kind(frozenset({"query"}), exclusive=False, dated=True, makes_file=True),
    },
    load_datasets(),
)
SOME = LaneTotals(rows_applied=5, blocks=1, last_row=10)
"""What a lane has done, where a test does not say otherwise."""
T = TypeVar("T")


def noted(record: Written, history: list[History], plans: list[Plan]) -> list[Job]:
    """Adds what the agent has written to the history or to the plans; answers the state, if it is one."""
    match record.topic:
        case "job-events":
            history.append(decode(record.value, History))
        case "plans":
            plans.append(decode(record.value, Plan))
        case "jobs":
            return [decode(record.value, Job)]
    return []


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits for something")


class World:
    """One control agent with its topics; `send` is what Kafka does, the rest is what people and workers do.

    What the agent is given may be exchanged: `publish`, `clock` and `sleep`.
    """

    def __init__(self, quotas: QuotaBook | None = None, **options: Any) -> None:
        """`options`: of every job that is created."""
        self.options = options
        self.jobs = JobTable()
        self.history: list[History] = []
        self.plans: list[Plan] = []
        self.states: list[Job] = []
        self.log: list[bytes] = []
        self.publish: Publish = self.take
        self.clock: Callable[[], int] = lambda: LAST_MOMENT
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self.agent = ControlAgent(
            self.jobs,
            dataclasses.replace(CATALOG, quotas=quotas or QuotaBook()),
            PARTITIONS,
            lambda records: self.publish(records),
            clock=lambda: self.clock(),
            sleep=lambda seconds: self.sleep(seconds),
        )

    async def take(self, records: Sequence[Written]) -> None:
        for record in records:
            self.states += noted(record, self.history, self.plans)

    def send(self, command: Command | bytes) -> None:
        """Put a command at the end of the topic and have it carried out."""
        self.log.append(command if isinstance(command, bytes) else encode(command))
        self.deliver(len(self.log) - 1)

    def deliver(self, offset: int) -> None:
        """Have the command at `offset` carried out (again)."""
        with suppress(UndecodableError):
            run(self.agent.handle(offset, at(offset), b"j1", self.log[offset]))

    def job(self, job_id: str = "j1") -> Job:
        job = self.jobs.get(job_id)
        assert job is not None, f"there is no job {job_id}"
        return job

    @property
    def state(self) -> State:
        return self.job().state

    def events(self, job_id: str = "j1") -> list[str]:
        """Names of what happened to a job, in order."""
        return [record.event for record in self.history if isinstance(record, JobEvent) and record.job_id == job_id]

    def rejection(self) -> CommandRejected:
        """The newest record of the history, which is a rejection."""
        record = self.history[-1]
        assert isinstance(record, CommandRejected)
        return record

    # -- what people do ----------------------------------------------------------------------------------------------

    def create(self, job_id: str = "j1", **options: Any) -> None:
        self.send(upload(job_id, **{**self.options, **options}))

    def pause(self, job_id: str = "j1") -> None:
        self.send(PauseJob(job_id=job_id, by="ada"))

    def resume(self, job_id: str = "j1") -> None:
        self.send(ResumeJob(job_id=job_id, by="ada"))

    def terminate(self, job_id: str = "j1", keep_rows: bool = False) -> None:
        self.send(TerminateJob(job_id=job_id, by="ada", keep_rows=keep_rows))

    def rollback(self, job_id: str = "j1") -> None:
        self.send(RollbackJob(job_id=job_id, by="ada"))

    # -- what workers and readers do ---------------------------------------------------------------------------------

    def rest(self, *partitions: int, job_id: str = "j1", totals: LaneTotals = SOME) -> None:
        """These lanes (default: all) prove that they have stopped."""
        self.send(rested(self.job(job_id), partitions or tuple(range(PARTITIONS)), totals))

    def end_input(self, *blocks: int, job_id: str = "j1") -> None:
        """The reader has published everything: so many blocks on each partition."""
        self.send(input_ended(self.job(job_id), blocks or (1,) * PARTITIONS))

    def lanes_done(self, *partitions: int, job_id: str = "j1", totals: LaneTotals = SOME) -> None:
        """These lanes (default: all) have dealt with all their blocks."""
        self.send(lanes_done(self.job(job_id), partitions or tuple(range(PARTITIONS)), totals))

    def complete(self, job_id: str = "j1", totals: LaneTotals = SOME) -> None:
        """Everything is read and dealt with."""
        self.end_input(job_id=job_id)
        self.lanes_done(job_id=job_id, totals=totals)

    def fail(self, reason: str = "the disk is full") -> None:
        self.send(work_failed(self.job(), reason))

    def count(self, partition: int, rows_applied: int, rows_failed: int, blocks: int = 1) -> None:
        """A worker reports what this lane has dealt with so far."""
        totals = LaneTotals(rows_applied=rows_applied, rows_failed=rows_failed, blocks=blocks)
        self.send(LanesCounted(job_id="j1", lanes={partition: totals}))

    def check(self, remaining: int, last_row: int = 0, job_id: str = "j1") -> None:
        """A worker has counted what a rollback has left."""
        self.send(UndoChecked(job_id=job_id, epoch=self.job(job_id).epoch, remaining=remaining, last_row=last_row))


def at(offset: int) -> int:
    """The timestamp of the record at an offset, in milliseconds since 1970."""
    return 1_767_225_600_000 + offset * 1000


def upload(job_id: str = "j1", **options: Any) -> CreateJob:
    source = Source(path=f"{job_id}.csv", name="people.csv")
    return CreateJob(
        job_id=job_id, by="ada", operation="upload", dataset="people", source=source, options=Options(**options)
    )


def corrections(sha256: str = "c0", job_id: str = "j1", errors_of_run: int = 0) -> RetryErrors:
    source = Source(path=f"retry-{sha256}.csv", name="errors.csv", bytes=90, sha256=sha256)
    return RetryErrors(job_id=job_id, by="bob", source=source, errors_of_run=errors_of_run)


def rested(job: Job, partitions: tuple[int, ...] = (0, 1), totals: LaneTotals = SOME) -> LanesRested:
    lanes = {number: RestedLane(epoch=job.epoch, totals=totals, last_offset=40 + number) for number in partitions}
    return LanesRested(job_id=job.id, phase=job.phase, run=job.run, epoch=job.epoch, lanes=lanes)


def work_failed(job: Job, reason: str = "the disk is full") -> WorkFailed:
    return WorkFailed(job_id=job.id, phase=job.phase, run=job.run, epoch=job.epoch, reason=reason)


def input_failed(job: Job) -> InputFailed:
    return InputFailed(job_id=job.id, phase=job.phase, run=job.run, epoch=job.epoch, reason="the file is gone")


def input_ended(job: Job, blocks: tuple[int, ...] = (1, 1)) -> InputEnded:
    total = Input(blocks=sum(blocks), rows=5 * sum(blocks), bytes=400, lines=11, blocks_per_partition=blocks)
    return InputEnded(job_id=job.id, phase=job.phase, run=job.run, input=total)


def lanes_done(job: Job, partitions: tuple[int, ...] = (0, 1), totals: LaneTotals = SOME) -> LanesDone:
    return LanesDone(job_id=job.id, phase=job.phase, run=job.run, lanes=dict.fromkeys(partitions, totals))


def _queued(world: World) -> None:
    world.create("other")
    world.create(if_busy="queue")


def _running(world: World) -> None:
    world.create()


def _pausing(world: World) -> None:
    world.create()
    world.pause()


def _paused(world: World) -> None:
    _pausing(world)
    world.rest()


def _terminating(world: World) -> None:
    world.create()
    world.terminate()


def _terminated(world: World) -> None:
    world.create()
    world.terminate(keep_rows=True)
    world.rest()


def _completed(world: World) -> None:
    world.create()
    world.complete()


def _completed_with_errors(world: World) -> None:
    world.create()
    world.complete(totals=LaneTotals(rows_applied=4, rows_failed=1, blocks=1, last_row=10))


def _failed(world: World) -> None:
    world.create()
    world.fail()


def _draft(world: World) -> None:
    world.send(replace(upload(**world.options), source=Source(name="people.csv"), draft=True))


def _rolling_back(world: World) -> None:
    _terminating(world)
    world.rest()


def _rollback_paused(world: World) -> None:
    _rolling_back(world)
    world.pause()
    world.rest()


def _rolled_back(world: World) -> None:
    _rolling_back(world)
    world.complete(totals=LaneTotals(rows_undone=5, blocks=1, last_row=10))
    world.check(remaining=0)


WAYS: dict[State, Callable[[World], None]] = {
    State.DRAFT: _draft,
    State.QUEUED: _queued,
    State.RUNNING: _running,
    State.PAUSING: _pausing,
    State.PAUSED: _paused,
    State.TERMINATING: _terminating,
    State.TERMINATED: _terminated,
    State.COMPLETED: _completed,
    State.COMPLETED_WITH_ERRORS: _completed_with_errors,
    State.FAILED: _failed,
    State.ROLLING_BACK: _rolling_back,
    State.ROLLBACK_PAUSED: _rollback_paused,
    State.ROLLED_BACK: _rolled_back,
}
"""State -> how job j1 gets there."""


def world_in(state: State, **options: Any) -> World:
    """A world in which job j1, with these options, is in this state."""
    world = World(**options)
    WAYS[state](world)
    assert world.state is state
    return world


REQUESTS: dict[str, Command] = {
    "pause": PauseJob(job_id="j1", by="bob", reason="why not"),
    "resume": ResumeJob(job_id="j1", by="bob"),
    "terminate": TerminateJob(job_id="j1", by="bob"),
    "keep_rows": TerminateJob(job_id="j1", by="bob", keep_rows=True),
    "rollback": RollbackJob(job_id="j1", by="bob"),
    "retry": corrections(),
    "rate": SetRate(job_id="j1", by="bob", rows_per_second=750),
    "create": upload(),
    "purge": PurgeJob(job_id="j1", by="bob", reason="forget it"),
}


def parsed(table: str) -> list[tuple[State, str, str]]:
    head, *lines = (line.split() for line in table.strip("\n").splitlines())
    return [(State(line[0]), request, answer) for line in lines for request, answer in zip(head, line[1:], strict=True)]
