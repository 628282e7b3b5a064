"""The worker's engine: blocks come in from the log, go through their lanes and an operation, and are checkpointed.

The steps of a block, and what a crash after each of them leaves:

1. `dispatch`: the lane takes note of its offset. Nothing is acknowledged: Kafka delivers it again.
2. a bulk request applies it. Its ids are fixed: applying it again changes nothing.
3. a checkpoint writes the lane record, with the block under `applied` or, if it has not had its turn, under `todo`.
   From here on the next owner knows it, and a repeat is dropped.
4. the events taken note of before step 3 are acknowledged to Faust, in the order of their offsets.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from typing import Any

from aiokafka.errors import KafkaError

from control.jobtable import JobTable
from control.predicates import runnable, void
from processor.elastic.bulk import BulkSink
from processor.errors import CannotGoOnError, FencedError, UnansweredError
from processor.gates import Gates
from processor.lanes.checkpoints import Checkpoints
from processor.lanes.lane import Lane, Loaded
from processor.lanes.owned_lanes import CONCLUDING, Lanes
from processor.lanes.refill import Refill
from processor.lanes.scheduler import Batch, Scheduler, put_back
from processor.metrics import WorkerMetrics
from processor.operations.base import Operation, file_operation
from processor.operations.dry_run_keys import sweep_claims
from processor.operations.resolved_errors import end_errors
from processor.operations.work import Work
from processor.outcome import Outcome
from processor.stream.acknowledgement import Acknowledgeable
from processor.stream.lease import Lease
from processor.stream.log_reader import LogReader, RestoredPartitions, read_lane_records
from processor.stream.publisher import Publisher
from runtime.settings import Settings
from schemas.blocks import Block, BlockHead
from schemas.bounds import MOST_REASON
from schemas.codec import decode, encode
from schemas.commands import Command, FileFinished, UndoChecked, WorkFailed
from schemas.datasets import Dataset
from schemas.dead_letters import DeadLetter
from schemas.job import BUSY, ENDED, Job, State
from schemas.lanes import OwnerRecord, owner_key
from schemas.progress import RowError

log = logging.getLogger(__name__)

PREPARED = 1
"""Requests that are made while others are in flight, so that Elasticsearch never waits for the next one."""

KEEP_SECONDS = 60.0


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Engine:
    """One worker's. `assigned`, `revoked` and `dispatch` are called by the Faust app; `run` does the work."""

    def __init__(
        self,
        settings: Settings,
        jobs: JobTable,
        operations: Mapping[str, Operation],
        datasets: Mapping[str, Dataset],
        sink: BulkSink,
        publisher: Publisher,
        reader: LogReader,
        lease: Lease,
        metrics: WorkerMetrics,
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._operations = operations
        self._datasets = datasets
        self._sink = sink
        self._publisher = publisher
        self._reader = reader
        self._metrics = metrics
        sink.on_trouble = self._trouble
        self._troubled = False
        self.lanes = Lanes()
        self._gates = Gates(lease, jobs, self.lanes, lambda: self._open)
        self.ready = asyncio.Event()
        self._checkpoints = Checkpoints(jobs, self.lanes, publisher, now_ms, lease)
        self._refill = Refill(jobs, self.lanes, reader, settings.lane_blocks, self._wake, self._lane_broken)
        self._refills: list[asyncio.Task[None]] = []
        self._work = asyncio.Event()
        self._open = False
        self._assigned = self._recovered = False
        self._scheduler = Scheduler(settings, jobs, self.lanes, self._refill.wake, self._lane_broken)
        self._flights: set[asyncio.Task[None]] = set()
        self._errands: set[asyncio.Task[None]] = set()
        self._conclusions: set[asyncio.Task[None]] = set()
        self._concluded: set[tuple[str, int]] = set()
        self._swept = False
        self._making = asyncio.Lock()
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        jobs.listen(self._job_changed)

    async def run(self) -> None:
        """Work until cancelled. Raises what a part of it could not recover from: the process should end then."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pump())
            tasks.create_task(self._checkpoints.run())
            tasks.create_task(self._keep())
            tasks.create_task(self._watch_failure())

    # -- rebalancing -------------------------------------------------------------------------------------------------

    async def assigned(self, partitions: Collection[int]) -> None:
        """These partitions of the rows topic are ours from now on: read their lanes, then begin."""
        inherited = (
            await read_lane_records(self._settings, partitions) if partitions else RestoredPartitions([], frozenset())
        )
        await self._sign(partitions, closed=False)
        self.lanes.owned = frozenset(partitions)
        for record in inherited.lanes:
            self.lanes.put(Lane.restored(record))
        self.lanes.lost = dict(inherited.lost)
        for rejected in inherited.rejected:
            log.error("this lane can't be restored: %s", rejected)
        await self._publisher.bury(rejected.dead_letter() for rejected in inherited.rejected)
        self.lanes.unproved = set(inherited.unclosed)
        if inherited.unclosed:
            self._refills.append(asyncio.create_task(self._guard(self._outwait(inherited.unclosed))))
        self._reader.assign(partitions)
        self._refills += [asyncio.create_task(self._guard(self._refill.run(number))) for number in partitions]
        self._assigned = True
        self._begin()
        log.info("owner of partitions %s, with %d lanes", sorted(partitions), len(inherited.lanes))

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
        self._open = True
        self._swept = False  # once is enough for all the jobs that ended before
        for job in self._jobs:
            self._job_changed(job.id, job)
        self._swept = True
        self._errand(self._sweep())
        self._work.set()
        self.ready.set()

    async def close(self) -> None:
        """Let go of what is still under way, once `revoked` has been called for the last time."""
        for task in list(self._errands):
            task.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)

    async def revoked(self, lost: bool = False) -> None:
        """Our partitions may become another worker's: stop, wait for what is in flight, write the checkpoints.

        `lost`: they may be another's already, whose checkpoints ours must not replace.
        """
        self._assigned = False
        self.ready.clear()
        if not self.lanes.owned:
            self._open = False
            return
        stopped, self._refills = self._refills, []
        for task in stopped:
            task.cancel()
        self._open = False
        if lost:
            log.warning("partitions %s were lost: Kafka had not heard of this worker in time", sorted(self.lanes.owned))
            self._forget()
        if under_way := self._flights | self._conclusions:
            await asyncio.wait(under_way, timeout=self._settings.request_timeout_seconds + 5)
        if not lost:
            await self._checkpoints.flush()
            if not (self._flights or self._conclusions):
                await self._sign(self.lanes.owned - self.lanes.unproved, closed=True)
        self._forget()

    def _forget(self) -> None:
        self.lanes.clear()
        self._checkpoints.forget()
        self._concluded.clear()

    async def _sign(self, partitions: Collection[int], closed: bool) -> None:
        """Leave word, for the next owner, whether requests of ours may be on their way."""
        now = now_ms()
        await self._publisher.publish_all(
            ("lanes", owner_key(number), encode(OwnerRecord(partition=number, closed=closed, at=now)), number)
            for number in partitions
        )

    async def _outwait(self, partitions: Collection[int]) -> None:
        """Until no request of an owner that said no goodbye may come any more, nothing is said to have stopped."""
        log.warning("the owner before of partitions %s said no goodbye", sorted(partitions))
        await asyncio.sleep(self._settings.request_age_seconds)
        self.lanes.unproved.difference_update(partitions)
        self._checkpoints.report_soon()

    # -- blocks in ---------------------------------------------------------------------------------------------------

    async def dispatch(self, partition: int, offset: int, value: bytes | None, event: Acknowledgeable) -> None:
        """Take note of one record of the rows topic; `event` is acknowledged once that is durable.

        Raises:
            UndecodableError: it is no block. It is to be skipped.
        """
        head: BlockHead = decode(value, BlockHead)
        job = self._jobs.get(head.job_id)
        if job is None or not void(job, head):
            self._meet(head, partition, Loaded(offset, head.block, value or b"", head.first_row), job)
        self._checkpoints.acknowledge_later(event)

    async def skip(self, event: Acknowledgeable) -> None:
        """Acknowledge a record that is no block, in its turn."""
        self._checkpoints.acknowledge_later(event)

    def _meet(self, head: BlockHead, partition: int, loaded: Loaded, job: Job | None) -> None:
        lane = self.lanes.obtain(head, partition, job.partitions if job else self._settings.topic_partitions)
        if lane is None:
            return
        self._refill.met(len(loaded.value))
        room = self._refill.room() if job is not None and head.run == job.run and self.lanes.may_work(job) else 0
        if lane.meet(loaded, room):
            self._checkpoints.touch(lane)
            self._work.set()
            self._refill.wake(partition)

    # -- blocks out --------------------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Keep the allowed number of requests in flight, the jobs taking turns."""
        while True:
            self._work.clear()
            pause: float | None = None
            while self._open and len(self._flights) < self._settings.bulk_in_flight + PREPARED:
                job, pause = self._scheduler.next(time.monotonic())
                if job is None:
                    break
                taken: Batch = []
                with self._failing_only(job):
                    taken = self._scheduler.take(job, time.monotonic())
                if taken:
                    task = asyncio.create_task(self._guard(self._fly(job, taken)))
                    self._flights.add(task)
                    task.add_done_callback(self._landed)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._work.wait(), pause)

    async def _fly(self, job: Job, taken: Batch) -> None:
        lanes = {lane for lane, _, _ in taken}
        began = time.monotonic()
        outcomes: Sequence[Outcome] = ()
        try:
            with self._failing_only(job):
                outcomes = await self._carried_out(job, lanes, [block for _, _, block in taken])
        except FencedError as error:
            if isinstance(error, UnansweredError):  # the next owner has to wait for what may still come of it
                self.lanes.unproved.update(lane.partition for lane in lanes if self.lanes.is_current(lane))
        finally:
            if outcomes:
                for (lane, loaded, _), outcome in zip(taken, outcomes, strict=True):
                    lane.settle(loaded, outcome)
                self._metrics.batch_done(job.operation, outcomes, time.monotonic() - began)
            else:
                put_back(taken)
            for lane in lanes:
                if not runnable(self._jobs.get(job.id) or job):
                    lane.unload()
                self._checkpoints.touch(lane)
                self._refill.wake(lane.partition)

    async def _carried_out(self, job: Job, lanes: Collection[Lane], blocks: Sequence[Block]) -> Sequence[Outcome]:
        """Have the job's operation apply or undo blocks, and write the dead letters; an outcome for each block."""
        operation, dataset = self._parts_of(job)
        gate = self._gates.of_blocks(job, lanes)
        work = Work(job, dataset, self._settings.prefix, self._sink, gate, now_ms(), self._making)
        result = await (operation.apply if job.phase == "apply" else operation.undo)(work, blocks)
        if len(result.outcomes) != len(blocks):
            raise CannotGoOnError(
                f"operation {job.operation} gave {len(result.outcomes)} outcomes for {len(blocks)} blocks; mend it"
            )
        letters = result.errors
        if job.retrying:
            # The rows are written: without this their block would not count, so a pause has to wait for it.
            ending = dataclasses.replace(work, gate=self._gates.of_second_half(work.gate))
            letters = letters + await end_errors(ending, blocks, result)
        await self._publisher.bury([dead_letter(letter) for letter in letters])
        return result.outcomes

    def _parts_of(self, job: Job) -> tuple[Operation, Dataset]:
        """The job's operation and dataset.

        Raises:
            CannotGoOnError: this worker does not have one of them; another version of it, or other settings, may.
        """
        operation, dataset = self._operations.get(job.operation), self._datasets.get(job.dataset)
        if operation is None:
            raise CannotGoOnError(
                f"a worker has no operation {job.operation!r} (it has {', '.join(sorted(self._operations))}): give all "
                f"workers the same version and the same SLUICE_OPERATIONS, then resume"
            )
        if dataset is None:
            raise CannotGoOnError(
                f"a worker has no dataset {job.dataset!r} (it has {', '.join(sorted(self._datasets))}): give all "
                f"workers the same version and the same SLUICE_DATASETS_FOLDER, then resume"
            )
        return operation, dataset

    # -- what the control table says ---------------------------------------------------------------------------------

    def _job_changed(self, job_id: str, job: Job | None) -> None:
        if not self._open:
            return  # all jobs are looked at when it opens
        if job is None:
            self._release(job_id, None)
            return
        with self._failing_only(job):
            self._follow(job)

    def _release(self, job_id: str, job: Job | None) -> None:
        """The job has ended, or has left the table: its lanes go."""
        self._scheduler.forget(job_id)
        self._checkpoints.drop(self.lanes.drop_job(job_id, job.run if job else None))
        if job is not None and job.options.dry_run and self._swept:
            self._errand(self._sweep())

    def _follow(self, job: Job) -> None:
        job_id = job.id
        if job.state in ENDED:
            self._release(job_id, job)
            return
        self._scheduler.set_rate(job)
        for lane in self.lanes.of(job_id):
            if lane.run != job.run or not runnable(job):
                lane.unload()
        self._checkpoints.job_changed(job)
        if job.checking and job.state is State.ROLLING_BACK and not job.halting:
            self._conclude(job, self._check_undo)
        if job.finishing and runnable(job):
            self._conclude(job, self._finish)
        lost = self.lanes.lost.get((job_id, job.phase))
        if lost is not None and self.lanes.may_work(job):
            self._fail(job, lost)
        self._work.set()
        self._refill.wake()

    def _conclude(self, job: Job, step: Callable[[Operation, Work], Awaitable[Command]]) -> None:
        """Do what is done once for a job, once for each epoch, and report it."""
        if CONCLUDING not in self.lanes.owned or (job.id, job.epoch) in self._concluded:
            return
        self._concluded.add((job.id, job.epoch))

        async def conclude() -> None:
            try:
                with self._failing_only(job):
                    operation, work = self._beside_lanes(job)
                    report = await step(operation, work)
                    await self._publisher.publish("commands", job.id.encode(), encode(report))
            except FencedError:
                pass  # paused, or another worker's by now
            finally:
                self.lanes.concluding.remove(job.id)
                self._checkpoints.report_soon()

        self.lanes.concluding.append(job.id)
        task = asyncio.create_task(self._guard(conclude()))
        self._conclusions.add(task)
        task.add_done_callback(self._conclusions.discard)

    async def _check_undo(self, operation: Operation, work: Work) -> Command:
        """Count what a rollback has left."""
        making = file_operation(operation)
        rows = await making.discard(work) if making is not None else 0
        remaining, last_row = await operation.left_over(work)
        job = work.job
        return UndoChecked(job_id=job.id, epoch=job.epoch, remaining=remaining, last_row=last_row, rows_undone=rows)

    async def _finish(self, operation: Operation, work: Work) -> Command:
        making = file_operation(operation)
        if making is None:
            raise CannotGoOnError(
                f"operation {operation.name} makes no file in this worker: give all processes the same version of it"
            )
        await making.finish(work)
        return FileFinished(job_id=work.job.id, epoch=work.job.epoch)

    async def _keep(self) -> None:
        """Keep alive what jobs need that are not over."""
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            for job in self._jobs if self._open and CONCLUDING in self.lanes.owned else ():
                known = self._operations.get(job.operation)
                making = file_operation(known) if known is not None else None
                if making is None or job.phase != "apply" or job.state not in BUSY:
                    continue
                with contextlib.suppress(FencedError), self._failing_only(job):  # fenced: it has moved on meanwhile
                    _, work = self._beside_lanes(job)
                    await making.keep(work)

    def _beside_lanes(self, job: Job) -> tuple[Operation, Work]:
        """The job's operation, and work of the owner of the one partition for it, in the job's epoch.

        Raises:
            CannotGoOnError: as `_parts_of`.
        """
        operation, dataset = self._parts_of(job)
        gate = self._gates.of_conclusion(job)
        return operation, Work(job, dataset, self._settings.prefix, self._sink, gate, now_ms())

    async def _sweep(self) -> None:
        """Delete what dry runs that are over have left; the owner of partition 0 does it."""
        try:
            await sweep_claims(self._sink, self._settings.prefix, self._jobs, self._gates.of_sweep())
        except FencedError:
            pass  # another worker's by now
        except CannotGoOnError as error:
            log.warning("keys of dry runs that are over can't be deleted: %s", error)

    def _lane_broken(self, lane: Lane, reason: str) -> None:
        job = self._jobs.get(lane.job_id)
        if job is not None:
            lane.error = reason
            self._fail(job, reason)

    @contextlib.contextmanager
    def _failing_only(self, job: Job) -> Iterator[None]:
        """What is done for one job: an error of it fails this job, and nothing else.

        Kafka's errors are no job's: they end the worker. Nor is a fence an error: it is the caller's business.
        """
        try:
            yield
        except (FencedError, KafkaError):
            raise
        except CannotGoOnError as error:
            self._fail(job, str(error))
        except Exception as error:
            log.exception("job %s: an error that nobody expected", job.id)
            self._fail(job, f"a worker met an error that it is not made for: {error!r}; its log has more")

    def _fail(self, job: Job, reason: str) -> None:
        self.lanes.give_up(job)
        log.error("job %s can't go on: %s", job.id, reason)
        report = WorkFailed(job_id=job.id, phase=job.phase, run=job.run, reason=reason[:MOST_REASON])
        self._errand(self._publisher.publish("commands", job.id.encode(), encode(report)))

    def _trouble(self, trouble: str | None) -> None:
        """Show in the lanes of the jobs at work what Elasticsearch's trouble is, and that it is over."""
        if trouble is None and not self._troubled:
            return
        self._troubled = trouble is not None
        for lane in self.lanes:
            if lane.error != trouble and (lane.flying or lane.error is not None):
                lane.error = trouble
                self._checkpoints.touch(lane)

    # -- tasks -------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._work.set()

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flights.discard(task)
        self._work.set()

    def _errand(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guard(errand))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Have an error of a task end the worker: its successor goes on from the checkpoints."""
        try:
            await work
        except Exception as error:
            log.exception("this worker can't go on")
            if not self.failure.done():
                self.failure.set_exception(error)

    async def _watch_failure(self) -> None:
        await self.failure


def dead_letter(error: RowError) -> DeadLetter:
    """The record of a refused row; what is wrong with it can be read in its headers, whatever the value's form."""
    headers = {"reason": error.reason, "row": str(error.row), "line": str(error.line)}
    if error.column is not None:
        headers["column"] = error.column
    return error.job_id.encode(), encode(error), headers
