"""Steps that only the owner of partition 0 does, once for a job: join its file, count after a rollback, prolong its
point in time.

The worker begins such a step, a conclusion, once in each epoch of a job, and reports it to the control agent. Meanwhile
partition 0 does not count as rested (`Lanes.concluding`).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from control.jobtable import JobTable
from control.predicates import counting, making_file
from processor.elastic.generations import rolling
from processor.erasure.housekeeping import Housekeeping
from processor.erasure.purging import Purging
from processor.errors import CannotGoOnError, FencedError
from processor.execution.failures import JobFailures
from processor.execution.report_retention import delete_old_reports
from processor.execution.tasks import BackgroundTasks
from processor.execution.work_factory import WorkFactory
from processor.lanes.checkpoints import Checkpoints
from processor.lanes.owned_lanes import CONCLUDING, Lanes
from processor.operations.base import FileOperation, Operation, file_operation
from processor.operations.dry_run_keys import sweep_claims
from processor.operations.modes.retention import sweep_images
from processor.operations.work import Work
from processor.stream.publisher import RecordPublisher
from runtime.clock import Clock
from runtime.telemetry.log_events import as_event
from schemas.bounds import MOST_REASON
from schemas.job import BUSY, Job
from schemas.messages.codec import encode
from schemas.messages.commands import Command, FileFinished, PurgeEnded, UndoChecked

log = logging.getLogger(__name__)

RETIRE_MS = 3600 * 1000
KEEP_SECONDS = 60.0
"""Seconds between two times that the worker prolongs what unfinished jobs need, such as a point in time."""
SWEEP_TURNS = 60
"""The worker deletes old before-images once in this many of those turns."""
_DAY_MS = 86_400_000

Step = Callable[[Operation, Work], Awaitable[Command]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Conclusions:
    """Carries out the steps that are done once for a job, in the worker that owns partition 0."""

    jobs: JobTable
    lanes: Lanes
    checkpoints: Checkpoints
    works: WorkFactory
    failures: JobFailures
    publisher: RecordPublisher
    tasks: BackgroundTasks
    """The conclusions that are under way."""
    clock: Clock
    purging: Purging
    housekeeping: Housekeeping
    housekeeping_seconds: float
    image_days: float = 30.0
    """Days that before-images are kept."""
    index_bytes: int | None = None
    """The worker starts a new index when the newest exceeds these bytes of primary shards; None: never."""
    report_days: float | None = None
    """The worker deletes reports of jobs that have left the control table after these days; None: never."""
    retired: list[int] = field(default_factory=lambda: [0])
    """When the worker last deleted old reports, milliseconds since 1970."""
    begun: set[tuple[str, int]] = field(default_factory=set)
    """The job and epoch of each conclusion that this worker has begun."""

    def follow(self, job: Job) -> None:
        """Begin what the job's state asks for."""
        if counting(job):
            self._begin(job, _check_undo)
        if making_file(job):
            self._begin(job, _finish)
        if job.purging and self._may_begin(job):
            self.tasks.start(self._purge(job))

    def forget(self) -> None:
        """Forget what was begun: the partitions are another worker's, which begins again what has not been reported."""
        self.begun.clear()

    async def keep_alive(self) -> None:
        """Prolong what unfinished jobs need, and delete what is too old, every `KEEP_SECONDS` until cancelled."""
        for turn in itertools.count(1):
            await self.clock.sleep(KEEP_SECONDS)
            if turn % SWEEP_TURNS == 0 and self.lanes.open and CONCLUDING in self.lanes.owned:
                await self._sweep_images()
            await self._roll()
            await self._retire()
            for job in self.jobs.not_over() if self.lanes.open and CONCLUDING in self.lanes.owned else ():
                if not self.works.makes_file(job) or job.phase != "apply" or job.state not in BUSY:
                    continue
                # A FencedError says that the job has moved on meanwhile.
                with contextlib.suppress(FencedError), self.failures.failing_only(job):
                    operation, work = await self.works.for_conclusion(job)
                    await _making_file(operation).keep(work)

    async def _roll(self) -> None:
        """Begin the next index of a dataset whose rows have outgrown theirs."""
        if self.index_bytes is None or not (self.lanes.open and CONCLUDING in self.lanes.owned):
            return
        unique = [operation.kind.dataset for operation in self.works.operations.values() if operation.kind.dataset]
        for dataset in rolling(list(self.works.datasets.values()), unique):
            try:
                begun = await self.works.generations.roll(dataset, self.index_bytes, self.works.gates.of_sweep())
            except FencedError:
                return  # partition 0 belongs to another worker by now
            except CannotGoOnError as error:
                log.warning("no new index for %s: %s", dataset, error, extra=as_event("elasticsearch.trouble"))
                continue
            if begun is not None:
                told = as_event("index.rolled", index=begun.index)
                log.info("jobs write into %s soon: the index before it is full", begun.index, extra=told)

    async def _retire(self) -> None:
        """Delete old reports, once an hour."""
        now = self.clock.now_ms()
        if self.report_days is None or now < self.retired[0] + RETIRE_MS:
            return
        if not (self.lanes.open and CONCLUDING in self.lanes.owned):
            return
        self.retired[0] = now
        sink, gate = self.works.sink, self.works.gates.of_sweep()
        try:
            await delete_old_reports(sink, self.works.prefix, self.jobs, self.report_days, now, gate)
        except FencedError:
            pass  # partition 0 belongs to another worker by now
        except CannotGoOnError as error:
            log.warning("old reports can't be deleted: %s", error, extra=as_event("elasticsearch.trouble"))

    async def sweep(self) -> None:
        """Delete what jobs that are over have left in Elasticsearch: keys of dry runs, old before-images."""
        try:
            await sweep_claims(self.works.sink, self.works.prefix, self.jobs, self.works.gates.of_sweep())
        except FencedError:
            pass  # partition 0 belongs to another worker by now
        except CannotGoOnError as error:
            log.warning(
                "the keys of dry runs that are over can't be deleted: %s",
                error,
                extra=as_event("elasticsearch.trouble"),
            )
        await self._sweep_images()

    async def _sweep_images(self) -> None:
        """Delete the before-images of jobs that ended long ago."""
        gate, before = self.works.gates.of_sweep(), self.clock.now_ms() - round(self.image_days * _DAY_MS)
        try:
            deleted = await sweep_images(self.works.sink, self.works.prefix, self.jobs, gate, before)
        except FencedError:
            return
        except CannotGoOnError as error:
            log.warning(
                "before-images that are old enough can't be deleted: %s", error, extra=as_event("elasticsearch.trouble")
            )
            return
        if deleted:
            told = "%d before-images of jobs that ended %g days ago are deleted"
            log.info(told, deleted, self.image_days, extra=as_event("images.deleted", count=deleted))

    def _begin(self, job: Job, step: Step) -> None:
        if self._may_begin(job):
            self.lanes.concluding.append(job.id)
            self.tasks.start(self._conclude(job, step))

    def _may_begin(self, job: Job) -> bool:
        if CONCLUDING not in self.lanes.owned or (job.id, job.epoch) in self.begun:
            return False
        self.begun.add((job.id, job.epoch))
        return True

    async def _purge(self, job: Job) -> None:
        try:
            report = await self.purging.purge(job, self.works.gates.of_conclusion(job))
        except FencedError:
            return  # partition 0 belongs to another worker by now, which goes on with it
        except Exception as error:
            log.exception("job %s: a purge met an unexpected error", job.id, extra=as_event("purge.failed", job=job.id))
            problem = f"a worker met an error that it is not made for: {error!r}; its log has more"
            report = PurgeEnded(job_id=job.id, epoch=job.epoch, problem=problem[:MOST_REASON])
        await self.publisher.publish("reports", job.id.encode(), encode(report))

    async def housekeep(self) -> None:
        """Again and again, remove what is kept no longer."""
        while True:
            await self.clock.sleep(self.housekeeping_seconds)
            if self.lanes.open and CONCLUDING in self.lanes.owned:
                try:
                    await self.housekeeping.run(self.works.gates.of_sweep())
                except FencedError:
                    pass  # partition 0 belongs to another worker by now
                except Exception:
                    text = "housekeeping met an unexpected error; the next look is in its turn"
                    log.exception(text, extra=as_event("store.trouble"))

    async def _conclude(self, job: Job, step: Step) -> None:
        try:
            with self.failures.failing_only(job):
                operation, work = await self.works.for_conclusion(job)
                report = await step(operation, work)
                await self.publisher.publish("reports", job.id.encode(), encode(report))
        except FencedError:
            pass  # the job is paused, or partition 0 belongs to another worker by now
        finally:
            self.lanes.concluding.remove(job.id)
            self.checkpoints.report_soon()


async def _check_undo(operation: Operation, work: Work) -> Command:
    """Count what a rollback has left."""
    making = file_operation(operation)
    rows = await making.discard(work) if making is not None else 0
    remaining, last_row = await operation.left_over(work)
    job = work.job
    return UndoChecked(job_id=job.id, epoch=job.epoch, remaining=remaining, last_row=last_row, rows_undone=rows)


async def _finish(operation: Operation, work: Work) -> Command:
    await _making_file(operation).finish(work)
    return FileFinished(job_id=work.job.id, epoch=work.job.epoch)


def _making_file(operation: Operation) -> FileOperation:
    """The operation as one that makes a file.

    Raises:
        CannotGoOnError: it makes none here, though it does in another process.
    """
    making = file_operation(operation)
    if making is None:
        raise CannotGoOnError(
            f"operation {operation.name} makes no file in this worker: give all processes the same version of it"
        )
    return making
