"""The reader process: takes plans, works on several at once, a few blocks of each in turn, and acknowledges them.

One thread does it all. It looks at the control table before each block, so a paused job stops at the next one.
Organisations share its turns and its slots (`ingest/slots.py`).

A crash is safe at any step, because of their order: Kafka confirms a block; the reader sends a report that covers it;
at the end Kafka confirms the last report; the reader acknowledges the plan. After a crash another reader gets the plan,
begins at the last report, and publishes the blocks after it again, under the same numbers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

from control.fair_turns import SharedTurns
from control.jobtable import JobTable
from control.memory.packed_jobs import PackedJobs
from csvfile.cutter import Limits
from ingest.blocks.files import Roots
from ingest.blocks.sealer import BlockSealer
from ingest.consumers import PlanConsumer, ViewConsumer, wait_for_topics
from ingest.export.counting import BackgroundQueries
from ingest.metrics import ReaderMetrics
from ingest.offset_tracker import OffsetTracker
from ingest.pending_plan import PendingPlan
from ingest.plan_run import PlanRun, Stage
from ingest.plan_validity import PlanValidity, judge, starting_point
from ingest.publisher import BlockPublisher
from ingest.slots import Slots
from ingest.sources import SourceContext
from runtime.clients import elasticsearch
from runtime.datasets import load_datasets
from runtime.files.sealing import JobKeys
from runtime.readiness import Readiness
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from runtime.telemetry.tracing import parent_in
from runtime.topics.headers import headers_of
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
LOOK_ROUNDS = 4
"""How often plans that wait are looked at while no slot is free: once in so many rounds, as there may be thousands."""
IDLE_SECONDS = 0.01
NO_PLAN_SECONDS = 0.5
"""How long it waits at a time for the first plan: a plan that comes ends the wait."""
COMMIT_SECONDS = 0.1
MEASURE_SECONDS = 2.0
STOP_SECONDS = 10.0
"""How long a reader that stops waits for Kafka to confirm blocks and reports."""


class Reader:
    """One reader. `run` returns after `stopping` has answered True."""

    def __init__(
        self,
        settings: Settings,
        stopping: Callable[[], bool],
        readiness: Readiness,
        metrics: ReaderMetrics,
        slots: int = OPEN_PLANS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives seconds of any steady clock."""
        self._settings = settings
        self._stopping = stopping
        self._readiness = readiness
        self._metrics = metrics
        self._clock = clock
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
        self._active: list[PendingPlan] = []  # in the order of their beginning
        self._slots = Slots(slots, self._weight_of)
        self._shared_turns = SharedTurns()
        self._rounds = 0
        self._ended: dict[str, Plan] = {}  # job id -> its plan that was worked on to the end, until the view shows that
        self._view.listen(self._show_ended)
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

    def _weight_of(self, organisation: str) -> float:
        return self._context.quotas.of(organisation).weight

    def _round(self) -> None:
        busy = self._turns()
        # without anything to read, it waits for the next plan or the next state of a job
        idle = self._active and not busy
        if idle:
            self._publisher.hurry()
        self._publisher.poll(IDLE_SECONDS if idle else 0)
        self._jobs.follow(IDLE_SECONDS if self._waiting and not self._active else 0)
        for record in self._plans.receive(0 if self._active or self._waiting else NO_PLAN_SECONDS):
            self._take(record)
        self._begin()
        self._tend()

    def _take(self, record: Any) -> None:
        partition, offset, value = record.partition(), record.offset(), record.value()
        if not self._offsets.received(partition, offset):
            return
        headers = headers_of(record)
        try:
            plan: Plan = decode(value, Plan)
        except UndecodableError as error:
            if format_of(headers) > FORMAT:
                told = as_event("job.not_understood", job=(record.key() or b"").decode("utf-8", "replace"))
                log.warning("a plan of a newer version waits for a reader that understands it: %s", error, extra=told)
                return  # it is not acknowledged
            rejected = RejectedRecord(record.topic(), partition, offset, record.key(), value, str(error))
            log.error("this is no plan: %s", rejected, extra=as_event("record.unreadable", partition=partition))
            self._publisher.reject(rejected, lambda: self._offsets.done(partition, offset))
            return
        self._waiting.append(PendingPlan(plan, partition, offset, parent_in(headers)))

    def _begin(self) -> None:
        """Begin the plans that may begin, as far as there are slots; have one leave its slot if another organisation is
        to have it."""
        self._rounds += 1
        full = len(self._active) >= self._slots.most
        if not self._waiting or (full and self._rounds % LOOK_ROUNDS):
            return
        now = self._clock()
        ready = self._ready()
        held = [taken.held(now) for taken in self._active]
        while (place := self._slots.next([taken.organisation for taken in ready], held)) is not None:
            taken = ready.pop(place)
            self._waiting.remove(taken)
            self._begin_one(taken, now)
            held.append(taken.held(now))
        if all(taken.reading for taken in self._active):  # else a slot is about to be free
            place = self._slots.to_stop([taken.organisation for taken in ready], held)
            if place is not None:
                self._active[place].leave(now)

    def _ready(self) -> list[PendingPlan]:
        """The plans that wait for nothing but a slot, one of each job; drops those that are void."""
        busy_jobs = {taken.plan.job_id for taken in self._active}
        ready: list[PendingPlan] = []
        still: list[PendingPlan] = []
        for taken in self._waiting:
            plan = taken.plan
            job = self._view.get(plan.job_id)
            verdict = judge(plan, job, self._jobs.has_passed)
            ended = self._ended.get(plan.job_id)
            if ended is not None and plan.command_offset <= ended.command_offset:
                verdict = PlanValidity.VOID  # a repeat of a plan whose end the view does not show yet
            if verdict is PlanValidity.VOID:
                log.info(
                    "job %s: the plan of command %d is void",
                    plan.job_id,
                    plan.command_offset,
                    extra=as_event("plan.void", job=plan.job_id, epoch=plan.epoch),
                )
                self._offsets.done(taken.partition, taken.offset)
                continue
            still.append(taken)
            if verdict is PlanValidity.WORK and job is not None and plan.job_id not in busy_jobs:
                taken.organisation = job.organisation
                ready.append(taken)
                busy_jobs.add(plan.job_id)
        self._waiting = still
        return ready

    def _begin_one(self, taken: PendingPlan, now: float) -> None:
        plan = taken.plan
        job = self._view.get(plan.job_id)
        assert job is not None, "only the plan of a job that is there is ready"
        start = starting_point(plan, job, taken.reached)
        self._sealer.prepare(job, plan, start.blocks)
        taken.begin(PlanRun(plan, start, self._context.of(job), self._publisher, now, taken.trace), now)
        self._active.append(taken)
        self._slots.served(taken.organisation)

    def _turns(self) -> bool:
        """Turns of a few blocks, as many as there are plans; organisations share them by their weights, and plans share
        those of an organisation. Answers whether there was anything to read and room for it."""
        reading = {taken.plan.job_id: taken for taken in self._active if taken.reading}
        busy = False
        for _ in range(len(reading)):
            job_id = self._shared_turns.next({name: taken.organisation for name, taken in reading.items()})
            if job_id is None:
                break
            taken = reading[job_id]
            steps, more = self._turn(taken)
            if steps:
                busy = True
                weight = self._weight_of(taken.organisation)
                self._shared_turns.charge(job_id, taken.organisation, steps, weight)
            if not more:
                if taken.reading and not self._publisher.has_room:
                    return False
                del reading[job_id]
        return busy

    def _turn(self, taken: PendingPlan) -> tuple[int, bool]:
        """A few blocks of one plan: the steps made, and whether it may go on in this round."""
        work = taken.work
        for step in range(TURN_BLOCKS):
            if work is None or work.stage is not Stage.READING:
                return step, False
            if judge(taken.plan, self._view.get(taken.plan.job_id), self._jobs.has_passed) is not PlanValidity.WORK:
                work.stop()
                return step, False
            if not self._publisher.has_room:
                return step, False
            with work.span.current():
                more = work.step()
            if not more:
                return step, False
            self._jobs.follow()
        return TURN_BLOCKS, True

    def _tend(self) -> None:
        now = self._clock()
        for taken in list(self._active):
            work = taken.work
            if work is None:
                continue
            with work.span.current():
                work.tend(now)
            if work.stage is not Stage.DONE:
                continue
            self._active.remove(taken)
            self._slots.served(taken.organisation)
            self._shared_turns.forget(taken.plan.job_id)
            self._sealer.forget(taken.plan.job_id)
            if taken.leaving:
                taken.left(work)
                self._waiting.insert(0, taken)
                continue
            self._offsets.done(taken.partition, taken.offset)
            if work.at_end:
                self._ended[taken.plan.job_id] = taken.plan
                self._show_ended(taken.plan.job_id, self._view.get(taken.plan.job_id))
        if now >= self._next_commit:
            self._next_commit = now + COMMIT_SECONDS
            self._plans.commit(self._offsets.positions())
        if now >= self._next_measure:
            self._next_measure = now + MEASURE_SECONDS
            self._plans.measure()
            self._metrics.plans.labels("working").set(len(self._active))
            self._metrics.plans.labels("waiting").set(len(self._waiting))

    def _show_ended(self, job_id: str, job: Job | None) -> None:
        """The view shows this state of the job, None once it is removed: if a repeat of its plan that was worked on to
        the end is void by that alone, the plan need not be remembered."""
        plan = self._ended.get(job_id)
        if plan is not None and (job is None or judge(plan, job, self._jobs.has_passed) is PlanValidity.VOID):
            del self._ended[job_id]

    def _on_revoked(self, partition: int, lost: bool) -> None:
        """Drop the plans of a partition: another reader goes on with them, from their last reports."""
        if not lost:
            self._plans.commit(self._offsets.positions(), wait=True)
        for taken in [taken for taken in self._active if taken.partition == partition]:
            if taken.work:
                taken.work.stop()
            self._active.remove(taken)
            self._shared_turns.forget(taken.plan.job_id)
            self._sealer.forget(taken.plan.job_id)
        self._waiting = [taken for taken in self._waiting if taken.partition != partition]
        self._offsets.revoked(partition)

    def _finish_plans(self) -> None:
        """Stop reading, report how far each plan came, and acknowledge those that are done."""
        unfinished = [taken for taken in self._active if taken.reading or taken.leaving]
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
