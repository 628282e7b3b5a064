"""The reader process: takes plans, works on several at once, a few blocks of each in turn, and acknowledges them.

One thread does it all. It looks at the control table before each block, so a paused job stops at the next one.

A crash is safe at any step, because of their order: Kafka confirms a block; the reader sends a report that covers it;
at the end Kafka confirms the last report; the reader acknowledges the plan. After a crash another reader gets the plan,
begins at the last report, and publishes the blocks after it again, under the same numbers.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from control.jobtable import JobTable
from control.memory.packed_jobs import PackedJobs
from csvfile.cutter import Limits
from ingest.blocks.files import Roots
from ingest.blocks.sealer import BlockSealer
from ingest.consumers import PlanConsumer, ViewConsumer, wait_for_topics
from ingest.export.counting import BackgroundQueries
from ingest.metrics import ReaderMetrics
from ingest.offset_tracker import OffsetTracker
from ingest.plan_run import PlanRun, Stage
from ingest.plan_validity import PlanValidity, judge, starting_point
from ingest.publisher import BlockPublisher
from ingest.sources import SourceContext
from runtime.clients import elasticsearch
from runtime.datasets import load_datasets
from runtime.files.sealing import JobKeys
from runtime.readiness import Readiness
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from runtime.telemetry.tracing import parent_in
from schemas.job import Input, Job
from schemas.messages.codec import UndecodableError, decode
from schemas.messages.dead_letters import RejectedRecord
from schemas.messages.formats import FORMAT, format_of
from schemas.messages.plans import Plan

log = logging.getLogger(__name__)

OPEN_PLANS = 32
"""Plans worked on at once, at most: each keeps about a megabyte of its file in memory."""
TURN_BLOCKS = 4
"""Blocks of one plan before the next has its turn."""
IDLE_SECONDS = 0.01
NO_PLAN_SECONDS = 0.5
"""How long it waits at a time for the first plan: a plan that comes ends the wait."""
COMMIT_SECONDS = 0.1
MEASURE_SECONDS = 2.0
STOP_SECONDS = 10.0
"""How long a reader that stops waits for Kafka to confirm blocks and reports."""


@dataclass(slots=True, eq=False)
class PendingPlan:
    """A plan that the reader has received, and the work on it once that has begun."""

    plan: Plan
    partition: int
    offset: int
    trace: str | None = None
    """The ``traceparent`` that it came with."""
    work: PlanRun | None = None


class Reader:
    """One reader. `run` returns after `stopping` has answered True."""

    def __init__(
        self, settings: Settings, stopping: Callable[[], bool], readiness: Readiness, metrics: ReaderMetrics
    ) -> None:
        self._settings = settings
        self._stopping = stopping
        self._readiness = readiness
        self._metrics = metrics
        self._sealer = BlockSealer(JobKeys(settings.storage_root), self._job)
        self._context = SourceContext(
            datasets=load_datasets(settings.datasets_folder),
            roots=Roots(settings.storage_root, settings.import_roots),
            limits=Limits(settings.block_rows, settings.block_bytes),
            asking=BackgroundQueries(lambda: elasticsearch(settings)),
            recorded=self._recorded,
            prefix=settings.prefix,
            slice_rows=settings.slice_rows,
            encoded=self._sealer.encoded,
            organisation=self._organisation,
            quotas=settings.quotas,
        )
        self._view = JobTable(PackedJobs())
        self._offsets = OffsetTracker()
        self._waiting: list[PendingPlan] = []
        self._active: deque[PendingPlan] = deque()
        self._ended: dict[str, int] = {}  # job id -> command offset of its plan that was worked on to the end
        self._next_commit = self._next_measure = 0.0

    def run(self) -> None:
        """Work until told to stop.

        Raises:
            PublishError: Kafka refused a record. The process must end; starting it again is safe.
            CannotStartError: the file that says it is ready can't be made.
        """
        wait_for_topics(self._settings, self._stopping)
        if self._stopping():
            return
        self._publisher = BlockPublisher(self._settings, self._metrics)
        with ExitStack() as opened:
            self._jobs = opened.enter_context(closing(ViewConsumer(self._settings, self._view)))
            while not (self._jobs.caught_up or self._stopping()):
                self._jobs.follow(0.1)
            self._plans = opened.enter_context(closing(PlanConsumer(self._settings, self._on_revoked, self._metrics)))
            self._readiness.mark()
            log.info("ready: reading plans of %s", self._settings.prefix, extra=as_event("process.ready"))
            while not self._stopping():
                self._round()
            self._readiness.clear()
            self._finish_plans()

    def _recorded(self, job_id: str) -> Input | None:
        job = self._view.get(job_id)
        return job.input if job is not None else None

    def _job(self, job_id: str) -> Job | None:
        return self._view.get(job_id)

    def _organisation(self, job_id: str) -> str:
        job = self._view.get(job_id)
        return job.organisation if job is not None else ""

    def _round(self) -> None:
        busy = self._turns()
        # without anything to read, it waits for the next plan or the next state of a job
        self._publisher.poll(0 if busy or not self._active else IDLE_SECONDS)
        self._jobs.follow(IDLE_SECONDS if self._waiting and not self._active else 0)
        for record in self._plans.receive(0 if self._active or self._waiting else NO_PLAN_SECONDS):
            self._take(record)
        self._begin()
        self._tend()

    def _take(self, record: Any) -> None:
        partition, offset, value = record.partition(), record.offset(), record.value()
        if not self._offsets.received(partition, offset):
            return
        try:
            plan: Plan = decode(value, Plan)
        except UndecodableError as error:
            if format_of(record.headers()) > FORMAT:
                told = as_event("job.not_understood", job=(record.key() or b"").decode("utf-8", "replace"))
                log.warning("a plan of a newer version waits for a reader that understands it: %s", error, extra=told)
                return  # it is not acknowledged
            rejected = RejectedRecord(record.topic(), partition, offset, record.key(), value, str(error))
            log.error("this is no plan: %s", rejected, extra=as_event("record.unreadable", partition=partition))
            self._publisher.reject(rejected, lambda: self._offsets.done(partition, offset))
            return
        self._waiting.append(PendingPlan(plan, partition, offset, parent_in(record.headers())))

    def _begin(self) -> None:
        """Begin the plans that may begin, drop those that are void, and leave the others waiting."""
        if not self._waiting or len(self._active) >= OPEN_PLANS:
            return
        busy_jobs = {taken.plan.job_id for taken in self._active}
        still: list[PendingPlan] = []
        for taken in self._waiting:
            plan = taken.plan
            job = self._view.get(plan.job_id)
            verdict = judge(plan, job, self._jobs.has_passed)
            if plan.command_offset <= self._ended.get(plan.job_id, -1):
                verdict = PlanValidity.VOID  # a repeat of a plan whose end the view does not show yet
            if verdict is PlanValidity.VOID:
                log.info(
                    "job %s: the plan of command %d is void",
                    plan.job_id,
                    plan.command_offset,
                    extra=as_event("plan.void", job=plan.job_id, epoch=plan.epoch),
                )
                self._offsets.done(taken.partition, taken.offset)
            elif (
                verdict is PlanValidity.WAIT
                or plan.job_id in busy_jobs
                or len(self._active) >= OPEN_PLANS
                or job is None
            ):
                still.append(taken)
            else:
                start = starting_point(plan, job)
                self._sealer.prepare(job)
                taken.work = PlanRun(plan, start, self._context.of(job), self._publisher, time.monotonic(), taken.trace)
                self._active.append(taken)
                busy_jobs.add(plan.job_id)
        self._waiting = still

    def _turns(self) -> bool:
        """A few blocks of each plan; answers whether there was anything to read and room for it."""
        busy = False
        for _ in range(len(self._active)):
            taken = self._active[0]
            self._active.rotate(-1)
            work = taken.work
            for _ in range(TURN_BLOCKS):
                if work is None or work.stage is not Stage.READING:
                    break
                if judge(taken.plan, self._view.get(taken.plan.job_id), self._jobs.has_passed) is not PlanValidity.WORK:
                    work.stop()
                    break
                if not self._publisher.has_room:
                    return False
                with work.span.current():
                    more = work.step()
                if not more:
                    break
                busy = True
                self._jobs.follow()
        return busy

    def _tend(self) -> None:
        now = time.monotonic()
        for taken in list(self._active):
            if taken.work is None:
                continue
            with taken.work.span.current():
                taken.work.tend(now)
            if taken.work.stage is Stage.DONE:
                self._active.remove(taken)
                self._offsets.done(taken.partition, taken.offset)
                if taken.work.at_end:
                    self._ended[taken.plan.job_id] = taken.plan.command_offset
        if now >= self._next_commit:
            self._next_commit = now + COMMIT_SECONDS
            self._plans.commit(self._offsets.positions())
        if now >= self._next_measure:
            self._next_measure = now + MEASURE_SECONDS
            self._plans.measure()
            self._metrics.plans.labels("working").set(len(self._active))
            self._metrics.plans.labels("waiting").set(len(self._waiting))

    def _on_revoked(self, partition: int, lost: bool) -> None:
        """Drop the plans of a partition: another reader goes on with them, from their last reports."""
        if not lost:
            self._plans.commit(self._offsets.positions(), wait=True)
        for taken in [taken for taken in self._active if taken.partition == partition]:
            if taken.work:
                taken.work.stop()
            self._active.remove(taken)
        self._waiting = [taken for taken in self._waiting if taken.partition != partition]
        self._offsets.revoked(partition)

    def _finish_plans(self) -> None:
        """Stop reading, report how far each plan came, and acknowledge those that are done."""
        unfinished = [taken for taken in self._active if taken.work and taken.work.stage is Stage.READING]
        for taken in unfinished:
            if taken.work:
                taken.work.stop()
        deadline = time.monotonic() + STOP_SECONDS
        while self._active and time.monotonic() < deadline:
            self._publisher.poll(0.02)
            for taken in list(self._active):
                if taken.work is None:
                    continue
                taken.work.tend(time.monotonic())
                if taken.work.stage is Stage.DONE:
                    self._active.remove(taken)
                    if taken not in unfinished:
                        self._offsets.done(taken.partition, taken.offset)
        self._publisher.flush(1.0)
        self._plans.commit(self._offsets.positions(), wait=True)
