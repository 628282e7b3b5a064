"""Blocks out: batches of blocks, each of one job, go through the job's operation, a bounded number of them at a time.

The hot path of a worker: the scheduler takes blocks, the operation sends them to Elasticsearch, and each lane settles
what was applied or takes back what was not. Whatever happens to a batch, one of the two is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from control.jobtable import JobTable
from control.predicates import runnable
from processor.blocked import Blocked
from processor.errors import CannotGoOnError, FencedError, UnansweredError
from processor.execution.failures import JobFailures
from processor.execution.inspections import Inspections
from processor.execution.tasks import BackgroundTasks
from processor.execution.work_factory import WorkFactory
from processor.lanes.checkpoints import Checkpoints
from processor.lanes.lane import Lane
from processor.lanes.owned_lanes import Lanes
from processor.lanes.refill import Refill
from processor.lanes.scheduler import Batch, Scheduler, put_back
from processor.metrics import WorkerMetrics
from processor.operations.resolved_errors import end_errors
from processor.outcome import Outcome
from processor.stream.publisher import RecordPublisher
from runtime.clock import Clock
from runtime.telemetry.tracing import span
from schemas.job import Job
from schemas.messages.blocks import Block
from schemas.messages.codec import encode
from schemas.messages.dead_letters import DeadLetter
from schemas.messages.progress import RowError

MOST_HELD = 64
"""Batches of jobs that are held up which do not count among those that are under way, at most."""
SLOW_SECONDS = 30.0
"""A job of which a batch takes longer is held up, for whatever reason, until that batch has ended."""
PREPARED = 3
"""Batches that read, are made ready, or note what they have done, while the large requests of others are in flight, so
that Elasticsearch never waits for the next one."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Batches:
    """Applies batches of blocks. `run` goes on until it is cancelled."""

    in_flight: int
    """Large requests that Elasticsearch is given at once; `PREPARED` more batches are under way meanwhile."""
    jobs: JobTable
    lanes: Lanes
    scheduler: Scheduler
    refill: Refill
    checkpoints: Checkpoints
    works: WorkFactory
    failures: JobFailures
    inspections: Inspections
    publisher: RecordPublisher
    metrics: WorkerMetrics
    tasks: BackgroundTasks
    """The batches that are under way."""
    clock: Clock
    blocked: Blocked
    """The jobs that can't go on for now: their batches do not take the places of others."""
    woken: asyncio.Event
    """Set when there may be something to do."""
    traces: dict[str, str] = field(default_factory=dict)
    """Job id -> the ``traceparent`` that its newest blocks came with."""
    under_way: dict[asyncio.Task[None], tuple[Job, float]] = field(default_factory=dict)
    """The batches, each with its job and when it began, in the order in which they began."""
    slow: set[str] = field(default_factory=set)
    """The ids of jobs of which a batch takes longer than `SLOW_SECONDS`."""

    async def run(self) -> None:
        """Keep the allowed number of batches under way, the jobs taking turns."""
        most = self.in_flight + PREPARED
        while True:
            self.woken.clear()
            if self.lanes.open:
                self.inspections.begin_due()
            pause: float | None = None
            while self.lanes.open:
                if self._busy() >= most:
                    pause = self._until_slow()
                    break
                job, pause = self.scheduler.next(self.clock.monotonic())
                if job is None:
                    break
                taken: Batch = []
                with self.failures.failing_only(job):
                    taken = self.scheduler.take(job, self.clock.monotonic())
                if taken:
                    task = self.tasks.start(self.process(job, taken))
                    self.under_way[task] = job, self.clock.monotonic()
                    task.add_done_callback(self.under_way.pop)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.woken.wait()

    def held(self) -> Callable[[Job], bool] | None:
        """Tells whether a job is held up: it begins no batch, and those that it has do not take the places of others.
        None: no job is.
        """
        return self._is_held if self.blocked or self.slow else None

    def _is_held(self, job: Job) -> bool:
        return self.blocked.holds(job.id, job.dataset) or job.id in self.slow

    def _busy(self) -> int:
        """How many batches are under way, without those of jobs that are held up."""
        before = self.clock.monotonic() - SLOW_SECONDS
        self.slow.clear()
        self.slow.update(job.id for job, began in self.under_way.values() if began <= before)
        held = sum(self._is_held(job) for job, _ in self.under_way.values())
        return len(self.under_way) - min(held, MOST_HELD)

    def _until_slow(self) -> float | None:
        """Seconds until a batch makes another job one that is held up; None: none does."""
        began = next((began for job, began in self.under_way.values() if not self._is_held(job)), None)
        return None if began is None else max(0.0, began + SLOW_SECONDS - self.clock.monotonic())

    async def process(self, job: Job, taken: Batch) -> None:
        """Apply or undo one batch. Its lanes settle its blocks, or have them back if the batch was not carried out."""
        lanes = {lane for lane, _, _ in taken}
        began = self.clock.monotonic()
        outcomes: Sequence[Outcome] = ()
        try:
            traced = span("batch", self.traces.get(job.id), job=job.id, blocks=len(taken))
            with self.failures.failing_only(job), traced:
                outcomes = await self._carry_out(job, lanes, [block for _, _, block in taken])
        except UnansweredError:
            self.lanes.left_unanswered(lane.partition for lane in lanes if self.lanes.is_current(lane))
        except FencedError:
            pass  # the job is paused, or a lane is another worker's by now
        finally:
            if outcomes:
                for (lane, loaded, _), outcome in zip(taken, outcomes, strict=True):
                    lane.settle(loaded, outcome)
                size = sum(len(loaded.value) for _, loaded, _ in taken)
                self.metrics.batch_done(job.operation, outcomes, self.clock.monotonic() - began, size)
            else:
                put_back(taken)
            for lane in lanes:
                if not runnable(self.jobs.get(job.id) or job):
                    lane.unload()
                self.checkpoints.touch(lane)
                self.refill.wake(lane.partition)

    async def _carry_out(self, job: Job, lanes: Collection[Lane], blocks: Sequence[Block]) -> Sequence[Outcome]:
        """Have the job's operation apply or undo blocks, and write the dead letters; an outcome for each block."""
        operation, work = await self.works.for_blocks(job, lanes)
        result = await (operation.apply if job.phase == "apply" else operation.undo)(work, blocks)
        if len(result.outcomes) != len(blocks):
            raise CannotGoOnError(
                f"operation {job.operation} gave {len(result.outcomes)} outcomes for {len(blocks)} blocks; mend it"
            )
        letters = result.errors
        if job.retrying:
            # The rows are written: without this their block would not count, so a pause has to wait for it.
            ending = dataclasses.replace(work, gate=self.works.gates.of_second_half(work.gate))
            letters = letters + await end_errors(ending, blocks, result)
        await self.publisher.bury([dead_letter(letter) for letter in letters])
        self.metrics.rows_refused(job.operation, result.errors)
        return result.outcomes


def dead_letter(error: RowError) -> DeadLetter:
    """The record of a refused row; what is wrong with it can be read in its headers, whatever the value's form."""
    headers = {"reason": error.reason, "row": str(error.row), "line": str(error.line)}
    if error.column is not None:
        headers["column"] = error.column
    return error.job_id.encode(), encode(error), headers
