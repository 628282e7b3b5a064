"""The worker's engine: blocks come in from the log, go through their lanes and an operation, and are checkpointed.

The engine deals with partitions that come and go, and takes in the records of the rows topic. What is done with them is
in `processor/execution`; `processor/assembly.py` puts the parts of a worker together.

The steps of a block, and what a crash after each of them leaves:

1. `dispatch`: the lane takes note of its offset. Nothing is acknowledged: Kafka delivers it again.
2. a bulk request applies it. Its ids are fixed: applying it again changes nothing.
3. a checkpoint writes the lane record, with the block under `applied` or, if it has not had its turn, under `todo`.
   From here on the next owner knows it, and a repeat is dropped.
4. the events taken note of before step 3 are acknowledged to Faust, in the order of their offsets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from control.jobtable import JobTable
from control.predicates import void
from processor.execution.batches import Batches
from processor.execution.job_states import JobStates
from processor.execution.job_steps import JobSteps
from processor.execution.maintenance import Maintenance
from processor.execution.tasks import WorkerTasks, drain
from processor.lanes.checkpoints import Checkpoints
from processor.lanes.lane import Loaded
from processor.lanes.owned_lanes import Lanes
from processor.lanes.ownership import Ownership
from processor.lanes.refill import Refill
from processor.lanes.room import Room
from processor.metrics import WorkerMetrics
from processor.stream.acknowledgement import Acknowledgeable
from processor.stream.log_reader import LogReader
from runtime.clock import Clock
from runtime.process import return_freed_memory
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from schemas.job import Job
from schemas.messages.blocks import BlockHead
from schemas.messages.codec import decode

log = logging.getLogger(__name__)

REVOCATION_MARGIN_SECONDS = 5.0
"""A revocation waits for this many seconds beyond one request's longest time."""
RETURN_SECONDS = 5.0
"""While not all lanes have room in memory, the system gets freed memory back this often."""


class Engine:
    """Does a worker's work in `run`. The Faust app calls `assigned`, `revoked` and `dispatch`."""

    def __init__(
        self,
        settings: Settings,
        jobs: JobTable,
        lanes: Lanes,
        reader: LogReader,
        ownership: Ownership,
        room: Room,
        refill: Refill,
        checkpoints: Checkpoints,
        batches: Batches,
        job_steps: JobSteps,
        maintenance: Maintenance,
        states: JobStates,
        tasks: WorkerTasks,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self.lanes = lanes
        self._reader = reader
        self._ownership = ownership
        self._room = room
        self._refill = refill
        self._checkpoints = checkpoints
        self._batches = batches
        self._job_steps = job_steps
        self._maintenance = maintenance
        self._states = states
        self._tasks = tasks
        self._clock = clock
        self._assigned = self._recovered = False
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled. Raises what a part of it could not recover from: the process should end then."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._batches.run())
            tasks.create_task(self._checkpoints.run())
            tasks.create_task(self._maintenance.run())
            tasks.create_task(self._return_memory())
            tasks.create_task(self._tasks.failure.watch())

    async def _return_memory(self) -> None:
        """Give the system freed memory back while not all lanes have room, and once after that: it lies in pieces
        between the blocks that are in use, as much as these take."""
        was_scarce = False
        while True:
            await self._clock.sleep(RETURN_SECONDS)
            scarce = self._room.scarce
            if scarce or was_scarce:
                await asyncio.to_thread(return_freed_memory)
            was_scarce = scarce

    # -- rebalancing -------------------------------------------------------------------------------------------------

    async def assigned(self, partitions: Collection[int]) -> None:
        """Take over these partitions of the rows topic: read their lanes, then begin."""
        inherited = await self._ownership.take_over(partitions)
        if inherited.unclosed:
            self._tasks.of_partitions.start(self._await_quiescence(inherited.unclosed))
        self._reader.assign(partitions)
        for number in partitions:
            self._tasks.of_partitions.start(self._refill.run(number))
        self._assigned = True
        self._begin()
        told = as_event("partitions.assigned", partitions=sorted(partitions), lanes=len(inherited.lanes))
        log.info("this worker owns partitions %s, with %d lanes", sorted(partitions), len(inherited.lanes), extra=told)

    def rebalancing(self) -> None:
        """The control table may be behind until `recovered` is called."""
        self._recovered = False

    def recovered(self) -> None:
        """The control table is up to date."""
        self._recovered = True
        self._begin()

    def _begin(self) -> None:
        # Before the table is up to date it shows states of the past, and nothing may follow from those.
        if not (self._assigned and self._recovered):
            return
        self.lanes.open = True
        self._states.follow_all()
        self._batches.woken.set()
        self.ready.set()

    async def revoked(self, lost: bool = False, patience: float | None = None) -> None:
        """The partitions may become another worker's: stop, wait for what is in flight, write the checkpoints.

        `lost`: another worker may own them already, whose checkpoints this worker must not replace. `patience`: seconds
        that it waits, at most; None: as long as a request may take. Requests that are in flight after that leave their
        partitions unclosed.
        """
        self._assigned = False
        self.ready.clear()
        if not self.lanes.owned:
            self.lanes.open = False
            return
        self._tasks.of_partitions.cancel()
        self.lanes.open = False
        if lost:
            log.warning(
                "this worker has lost partitions %s: Kafka received no heartbeat of it in time",
                sorted(self.lanes.owned),
                extra=as_event("partitions.lost", partitions=sorted(self.lanes.owned)),
            )
            self._forget()
        if in_flight := self._tasks.in_flight:
            longest = self._settings.request_timeout_seconds + REVOCATION_MARGIN_SECONDS
            await drain(in_flight, self._clock.sleep(longest if patience is None else min(patience, longest)))
        if not lost:
            await self._checkpoints.flush()
            if not self._tasks.in_flight:
                await self._ownership.close()
        self._forget()

    async def close(self) -> None:
        """Stop what is still under way, once `revoked` has been called for the last time."""
        await self._tasks.reports.stop()

    def _forget(self) -> None:
        self.lanes.clear()
        self._checkpoints.forget()
        self._job_steps.forget()
        self._batches.inspections.forget()

    async def _await_quiescence(self, partitions: Collection[int]) -> None:
        await self._ownership.await_quiescence(partitions, self._settings.request_age_seconds)
        self._checkpoints.report_soon()

    # -- blocks in ---------------------------------------------------------------------------------------------------

    async def dispatch(
        self, partition: int, offset: int, value: bytes | None, event: Acknowledgeable, trace: str | None = None
    ) -> None:
        """Take note of one record of the rows topic; `event` is acknowledged once that is durable.
        `trace`: the ``traceparent`` of the record.

        Raises:
            UndecodableError: it is no block. It is to be skipped.
        """
        head: BlockHead = decode(value, BlockHead)
        if trace is not None:
            self._batches.traces[head.job_id] = trace
        job = self._jobs.get(head.job_id)
        if job is None or not void(job, head):
            self._meet(head, partition, Loaded(offset, head.block, value or b"", head.first_row), job)
        self._checkpoints.acknowledge_later(event)

    async def skip(self, event: Acknowledgeable) -> None:
        """Acknowledge a record that is no block, in its turn."""
        self._checkpoints.acknowledge_later(event)

    def _meet(self, head: BlockHead, partition: int, loaded: Loaded, job: Job | None) -> None:
        # While a job is not known yet, each of its blocks has a place of its own, whatever the job's partitions are.
        lane = self.lanes.obtain(head, partition, job.partitions if job else 1)
        if lane is None:
            return
        if job is not None:
            lane.adopt(job.partitions)
        self._room.met(len(loaded.value))
        known = job is not None and head.run == job.run and self.lanes.may_work(job)
        if lane.meet(loaded, self._room.of_new(head.job_id) if known else 0):
            self._checkpoints.touch(lane)
            self._batches.woken.set()
            self._refill.wake(partition)

    def measure(self, metrics: WorkerMetrics) -> None:
        """Bring the gauges up to date."""
        lanes = list(self.lanes)
        metrics.partitions.set(len(self.lanes.owned))
        metrics.lanes.set(len(lanes))
        metrics.pending_blocks.set(sum(len(lane.todo) for lane in lanes))
        metrics.in_flight.set(len(self._tasks.batches))
