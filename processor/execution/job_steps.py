"""Steps that only the owner of partition 0 does, once for a job: join its file, count after a rollback, purge it.

The worker begins such a step once in each epoch of a job, and reports it to the control agent. Meanwhile partition 0
does not count as rested (`Lanes.in_job_step`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from control.creation.inspection import awaits_inspection
from control.predicates import counting, making_file
from processor.erasure.purging import Purging
from processor.errors import FencedError, UnansweredError
from processor.execution.failures import JobFailures
from processor.execution.tasks import BackgroundTasks
from processor.execution.work_factory import WorkFactory
from processor.lanes.checkpoints import Checkpoints
from processor.lanes.owned_lanes import JOB_STEP_PARTITION, Lanes
from processor.operations.base import Operation, file_operation, required_file_operation
from processor.operations.work import Work
from processor.stream.publisher import RecordPublisher
from schemas.job import Job
from schemas.messages.codec import encode
from schemas.messages.commands import Command, FileFinished, UndoChecked

Step = Callable[[Operation, Work], Awaitable[Command]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class JobSteps:
    """Carries out the steps that are done once for a job, in the worker that owns partition 0."""

    lanes: Lanes
    checkpoints: Checkpoints
    works: WorkFactory
    failures: JobFailures
    publisher: RecordPublisher
    tasks: BackgroundTasks
    """The steps that are under way."""
    purging: Purging
    begun: dict[str, int] = field(default_factory=dict)
    """Job id -> the epoch of the newest step that this worker has begun."""

    def follow(self, job: Job) -> None:
        """Begin what the job's state asks for."""
        if counting(job):
            self._begin(job, _check_undo)
        if making_file(job) and not awaits_inspection(job):  # a file that is there may be an earlier job's
            self._begin(job, _finish)
        if job.purging and self._may_begin(job):
            self.tasks.start(self._purge(job))

    def drop(self, job_id: str) -> None:
        """The job has left the table: its id may come again."""
        self.begun.pop(job_id, None)

    def forget(self) -> None:
        """Forget what was begun: the partitions are another worker's, which begins again what has not been reported."""
        self.begun.clear()

    def _begin(self, job: Job, step: Step) -> None:
        if self._may_begin(job):
            self.lanes.in_job_step.append(job.id)
            self.tasks.start(self._carry_out(job, step))

    def _may_begin(self, job: Job) -> bool:
        if JOB_STEP_PARTITION not in self.lanes.owned or self.begun.get(job.id) == job.epoch:
            return False
        self.begun[job.id] = job.epoch
        return True

    async def _purge(self, job: Job) -> None:
        self.lanes.purging.append(job)
        try:
            report = await self.purging.purge(job, self.works.gates.of_job_step(job))
        except UnansweredError:
            self.lanes.left_unanswered([JOB_STEP_PARTITION])
            return
        except FencedError:
            return  # partition 0 belongs to another worker by now, which goes on with it
        finally:
            self.lanes.purging.remove(job)
        await self.publisher.publish("reports", job.id.encode(), encode(report))

    async def _carry_out(self, job: Job, step: Step) -> None:
        try:
            with self.failures.failing_only(job):
                operation, work = await self.works.for_job_step(job)
                report = await step(operation, work)
                await self.publisher.publish("reports", job.id.encode(), encode(report))
        except UnansweredError:
            self.lanes.left_unanswered([JOB_STEP_PARTITION])
        except FencedError:
            pass  # the job is paused, or partition 0 belongs to another worker by now
        finally:
            self.lanes.in_job_step.remove(job.id)
            self.checkpoints.report_soon()


async def _check_undo(operation: Operation, work: Work) -> Command:
    """Count what a rollback has left."""
    making = file_operation(operation)
    rows = await making.discard(work) if making is not None else 0
    remaining, last_row = await operation.left_over(work)
    job = work.job
    return UndoChecked(job_id=job.id, epoch=job.epoch, remaining=remaining, last_row=last_row, rows_undone=rows)


async def _finish(operation: Operation, work: Work) -> Command:
    await required_file_operation(operation).finish(work)
    return FileFinished(job_id=work.job.id, epoch=work.job.epoch)
