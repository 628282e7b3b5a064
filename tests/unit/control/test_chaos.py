"""Crashes, redeliveries, repeated and late reports: the control agent ends where an undisturbed one does.

Two agents take the same commands. One is never disturbed. The other crashes between any two of its writes and starts
again from what is durable, with commands delivered again. After each command both have the same states, and, repeats
left out, the same history and plans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from control.agent import ControlAgent
from control.jobtable import JobTable
from control.outbox import Written
from control.predicates import quiescing
from schemas.job import BUSY, RESTING, Input, Job, LaneTotals, State
from schemas.messages.codec import encode
from schemas.messages.commands import (
    Command,
    InputAdvanced,
    LanesCounted,
    PauseJob,
    Report,
    ResumeJob,
    RollbackJob,
    SetRate,
    TerminateJob,
    UndoChecked,
)
from schemas.messages.events import CommandRejected, History
from schemas.messages.plans import Plan
from tests.support.in_memory.control import (
    CATALOG,
    PARTITIONS,
    World,
    at,
    corrections,
    input_ended,
    input_failed,
    lanes_done,
    noted,
    rested,
    run,
    upload,
    work_failed,
)

APPLYING = (State.RUNNING, State.PAUSING, State.PAUSED)
JOBS = st.sampled_from(["a", "b"])
LANES = st.integers(0, PARTITIONS - 1)
TOTALS = st.sampled_from([LaneTotals(), LaneTotals(rows_applied=3, rows_failed=2, rows_undone=3, blocks=1, last_row=5)])
ASK: dict[str, Any] = {
    "pause": lambda job: PauseJob(job_id=job, by="ada"),
    "resume": lambda job: ResumeJob(job_id=job, by="ada"),
    "terminate": lambda job: TerminateJob(job_id=job, by="ada"),
    "keep": lambda job: TerminateJob(job_id=job, by="ada", keep_rows=True),
    "rollback": lambda job: RollbackJob(job_id=job, by="ada"),
    "retry": lambda job: corrections("c0", job),
    "retry-again": lambda job: corrections("c1", job, errors_of_run=1),
    "rate": lambda job: SetRate(job_id=job, by="ada", rows_per_second=9),
}
T = TypeVar("T")


class CrashError(Exception):
    """The process dies."""


def without_repeats(items: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(items))


def told(record: History) -> tuple[Any, ...]:
    """What a record of the history says. A start that was made up for after a crash has no offset, a time of its own,
    and stands there twice if the crash was between its record and its state."""
    if isinstance(record, CommandRejected):
        return (record.job_id, record.at, record.command, record.code, record.message)
    at_its_time = None if record.event == "Started" else record.at
    return (record.job_id, at_its_time, record.event, record.state, record.by)


def planned(plan: Plan) -> tuple[Any, ...]:
    return (type(plan).__name__, plan.job_id, plan.epoch, plan.run, encode(plan.checkpoint))


class Disturbed:
    """A control agent, and what outlives it."""

    def __init__(self) -> None:
        self.durable: dict[str, Job] = {}
        self.history: list[History] = []
        self.plans: list[Plan] = []
        self.writes_left: int | None = None
        """Writes until it crashes; None: it does not."""
        self.restart(0)

    def restart(self, moment: int) -> None:
        self.writes_left = None
        jobs = JobTable()
        for job in self.durable.values():
            jobs.put(job)
        self.agent = ControlAgent(jobs, CATALOG, PARTITIONS, self._publish)
        run(self.agent.take_over(moment, 2**62))

    async def _publish(self, records: Sequence[Written]) -> None:
        for record in records:
            if self.writes_left is not None:
                if self.writes_left == 0:
                    raise CrashError
                self.writes_left -= 1
            self.durable.update((job.id, job) for job in noted(record, self.history, self.plans))


def timeless(job: Job) -> Job:
    """A state without what depends on when an agent has taken over: a job whose turn came before starts then."""
    return replace(job, command_offset=0, started_at=job.started_at and 1, state_since=0)


class Chaos(RuleBasedStateMachine):
    """Two jobs with the same exclusive key, their readers and workers, people, and accidents."""

    def __init__(self) -> None:
        super().__init__()
        self.calm = World()
        self.wild = Disturbed()
        self.late: list[Report] = []
        self.sent: list[Report] = []
        self.seen: dict[str, tuple[int, int]] = {}
        self.proofs: set[tuple[str, int, int]] = set()
        self.finished: set[tuple[str, int, int]] = set()
        self.counted: set[tuple[str, int]] = set()

    def job(self, job_id: str) -> Job | None:
        return self.wild.durable.get(job_id)

    def send(self, command: Command, redelivered: int = 1) -> None:
        """One more command for both; after a crash the last `redelivered` ones come again."""
        self.calm.send(command)
        offset = len(self.calm.log) - 1
        try:
            self.deliver(offset)
        except CrashError:
            self.wild.restart(at(offset))
            self.deliver_again(redelivered)
        self.wild.writes_left = None

    def send_together(self, commands: Sequence[Command]) -> None:
        """Commands that come together: the agent decides on all of them before it writes any of what follows."""
        first = len(self.calm.log)
        for command in commands:
            self.calm.send(command)
        try:
            for offset in range(first, len(self.calm.log)):
                self.take(offset)
            run(self.wild.agent.settle())
        except CrashError:
            self.wild.restart(at(len(self.calm.log) - 1))
            self.deliver_again(len(commands))
        self.wild.writes_left = None

    def take(self, offset: int) -> None:
        run(self.wild.agent.take(offset, at(offset), b"?", self.calm.log[offset]))

    def deliver(self, offset: int) -> None:
        run(self.wild.agent.handle(offset, at(offset), b"?", self.calm.log[offset]))

    def deliver_again(self, count: int) -> None:
        for offset in range(max(0, len(self.calm.log) - count), len(self.calm.log)):
            self.deliver(offset)

    def report(self, report: Report, late: bool) -> None:
        self.sent.append(report)
        if late:
            self.late.append(report)
        else:
            self.send(report)

    def work_on(self, job: Job) -> None:
        """What readers and workers would do next."""
        if quiescing(job):
            self.proofs.update((job.id, job.epoch, lane) for lane in range(PARTITIONS))
            self.report(rested(job), late=False)
        elif job.state is State.ROLLING_BACK and job.checking:
            self.counted.add((job.id, job.epoch))
            self.report(UndoChecked(job_id=job.id, epoch=job.epoch, remaining=0), late=False)
        elif job.state in (State.RUNNING, State.ROLLING_BACK) and job.current_input.ended:
            self.finished.update((job.id, job.run, lane) for lane in range(PARTITIONS))
            self.report(lanes_done(job), late=False)
        elif job.state in (State.RUNNING, State.ROLLING_BACK):
            self.report(input_ended(job), late=False)

    # -- people ------------------------------------------------------------------------------------------------------

    @initialize(if_busy=st.sampled_from(["queue", "refuse"]))
    def both_jobs(self, if_busy: str) -> None:
        self.send(upload("a", max_errors="5%"))
        self.send(upload("b", if_busy=if_busy))

    @rule(job=JOBS, if_busy=st.sampled_from(["queue", "refuse"]))
    def create(self, job: str, if_busy: str) -> None:
        self.send(upload(job, if_busy=if_busy))

    @rule(job=JOBS, request=st.sampled_from(list(ASK)), writes=st.integers(0, 6), back=st.integers(1, 5))
    def ask(self, job: str, request: str, writes: int, back: int) -> None:
        """Somebody asks for something, and the agent dies after so many of its writes, if it has that many."""
        self.wild.writes_left = writes
        self.send(ASK[request](job), back)

    @rule(
        asked=st.lists(st.tuples(JOBS, st.sampled_from(list(ASK))), min_size=2, max_size=5), writes=st.integers(0, 12)
    )
    def ask_much_at_once(self, asked: list[tuple[str, str]], writes: int) -> None:
        """The same for requests that come together."""
        self.wild.writes_left = writes
        self.send_together([ASK[request](job) for job, request in asked])

    # -- readers and workers -----------------------------------------------------------------------------------------

    @rule(job_id=JOBS, blocks=st.integers(1, 5), late=st.booleans())
    def reader_goes_on(self, job_id: str, blocks: int, late: bool) -> None:
        if job := self.job(job_id):
            come = Input(blocks=job.current_input.blocks + blocks, rows=9)
            self.report(InputAdvanced(job_id=job.id, phase=job.phase, run=job.run, input=come), late)

    @rule(job_id=JOBS, blocks=st.sampled_from([(1, 1), (0, 1), (0, 0)]), late=st.booleans())
    def reader_ends(self, job_id: str, blocks: tuple[int, ...], late: bool) -> None:
        if job := self.job(job_id):
            self.report(input_ended(job, blocks), late)

    @rule(job_id=JOBS, lanes=st.sets(LANES, min_size=1), totals=TOTALS, late=st.booleans())
    def lanes_rest(self, job_id: str, lanes: set[int], totals: LaneTotals, late: bool) -> None:
        job = self.job(job_id)
        if job and quiescing(job):
            self.proofs.update((job.id, job.epoch, lane) for lane in lanes)
            self.report(rested(job, tuple(lanes), totals), late)

    @rule(job_id=JOBS, lanes=st.sets(LANES, min_size=1), totals=TOTALS, late=st.booleans())
    def lanes_end(self, job_id: str, lanes: set[int], totals: LaneTotals, late: bool) -> None:
        job = self.job(job_id)
        if job and job.current_input.ended:
            self.finished.update((job.id, job.run, lane) for lane in lanes)
            self.report(lanes_done(job, tuple(lanes), totals), late)

    @rule(job_id=JOBS, failed=st.sampled_from([input_failed, work_failed]), late=st.booleans())
    def trouble(self, job_id: str, failed: Callable[[Job], Report], late: bool) -> None:
        if job := self.job(job_id):
            self.report(failed(job), late)

    @rule(job_id=JOBS, lane=LANES, failed=st.sampled_from([0, 40, 400]), blocks=st.integers(1, 3), late=st.booleans())
    def lanes_are_counted(self, job_id: str, lane: int, failed: int, blocks: int, late: bool) -> None:
        if job := self.job(job_id):
            totals = LaneTotals(rows_applied=500 * blocks - failed, rows_failed=failed, blocks=blocks)
            self.report(LanesCounted(job_id=job.id, lanes={lane: totals}), late)

    @rule(job_id=JOBS, steps=st.integers(1, 3))
    def all_goes_well(self, job_id: str, steps: int) -> None:
        for _ in range(steps):
            if job := self.job(job_id):
                self.work_on(job)

    @rule(job_id=JOBS, remaining=st.integers(0, 1), late=st.booleans())
    def what_is_left_is_counted(self, job_id: str, remaining: int, late: bool) -> None:
        job = self.job(job_id)
        if job and job.checking:
            if not remaining:
                self.counted.add((job.id, job.epoch))
            self.report(UndoChecked(job_id=job.id, epoch=job.epoch, remaining=remaining, last_row=7), late)

    # -- accidents ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.late)
    @rule(data=st.data(), writes=st.integers(0, 6), back=st.integers(1, 5))
    def a_late_report_arrives(self, data: st.DataObject, writes: int, back: int) -> None:
        self.wild.writes_left = writes
        self.send(self.late.pop(data.draw(st.integers(0, len(self.late) - 1))), back)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def a_report_is_produced_twice(self, data: st.DataObject) -> None:
        self.send(data.draw(st.sampled_from(self.sent)))

    @rule(back=st.integers(1, 8))
    def a_rebalance(self, back: int) -> None:
        self.wild.restart(at(len(self.calm.log) - 1))
        self.deliver_again(back)

    # -- what must always be true ------------------------------------------------------------------------------------

    @invariant()
    def both_agents_agree(self) -> None:
        whole = [self.calm.jobs.get(job.id) or job for job in self.calm.jobs]
        assert {job.id: timeless(job) for job in whole} == {job.id: timeless(job) for job in self.wild.durable.values()}
        assert without_repeats(map(told, self.wild.history)) == [told(record) for record in self.calm.history]
        assert without_repeats(map(planned, self.wild.plans)) == [planned(plan) for plan in self.calm.plans]

    @invariant()
    def nothing_goes_back(self) -> None:
        for job in self.wild.durable.values():
            before = self.seen.get(job.id, (-1, -1))
            assert job.command_offset >= before[0] and job.epoch >= before[1]
            self.seen[job.id] = job.command_offset, job.epoch

    @invariant()
    def a_resting_state_has_its_proof(self) -> None:
        for job in self.wild.durable.values():
            match job.state:
                case State.PAUSED | State.ROLLBACK_PAUSED:
                    assert all((job.id, job.epoch, lane) in self.proofs for lane in range(PARTITIONS))
                case State.TERMINATED if job.started_at is not None:
                    epochs = (job.epoch, job.epoch - 1)  # it may have been PAUSED, with proof
                    assert all(any((job.id, e, lane) in self.proofs for e in epochs) for lane in range(PARTITIONS))
                case State.COMPLETED | State.COMPLETED_WITH_ERRORS:
                    last = job.current_input
                    blocks = enumerate(last.blocks_per_partition)
                    assert last.ended and all((job.id, job.run, lane) in self.finished for lane, n in blocks if n)
                case State.ROLLED_BACK if job.started_at is not None and job.inspection != "due":  # it may have written
                    assert (job.id, job.epoch) in self.counted

    @invariant()
    def two_jobs_with_one_exclusive_key_never_apply_at_once(self) -> None:
        applying = [job.id for job in self.wild.durable.values() if job.state in APPLYING]
        assert len(applying) <= 1, applying

    def teardown(self) -> None:
        """With workers that go on, everything comes to rest: nothing hangs in a state that resolves by itself."""
        for _ in range(12):
            for job in list(self.wild.durable.values()):
                self.work_on(job)
        states = {job.state for job in self.wild.durable.values()}
        assert states <= RESTING, states
        if State.QUEUED in states:
            assert states & BUSY, "it waits for somebody"
        super().teardown()


TestChaos = Chaos.TestCase
TestChaos.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
