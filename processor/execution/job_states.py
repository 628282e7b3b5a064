"""What follows from a job's state in the control table: its lanes run, stop, are reported on, or go.

States are followed only while the worker is open. When it opens, it looks at all jobs.
"""

from __future__ import annotations

from control.jobtable import JobTable
from control.predicates import runnable
from processor.execution.batches import Batches
from processor.execution.failures import JobFailures
from processor.execution.inspections import Inspections
from processor.execution.job_steps import JobSteps
from processor.execution.maintenance import Maintenance
from processor.execution.tasks import BackgroundTasks
from processor.lanes.checkpoints import Checkpoints
from processor.lanes.owned_lanes import Lanes
from processor.lanes.refill import Refill
from processor.lanes.scheduler import Scheduler
from schemas.job import ENDED, Job, Phase


class JobStates:
    """Reacts to each new state of a job: unloads its lanes, and begins the steps that the state asks for."""

    def __init__(
        self,
        jobs: JobTable,
        lanes: Lanes,
        scheduler: Scheduler,
        refill: Refill,
        checkpoints: Checkpoints,
        batches: Batches,
        job_steps: JobSteps,
        maintenance: Maintenance,
        failures: JobFailures,
        inspections: Inspections,
        background: BackgroundTasks,
    ) -> None:
        self._jobs = jobs
        self._lanes = lanes
        self._scheduler = scheduler
        self._refill = refill
        self._checkpoints = checkpoints
        self._batches = batches
        self._job_steps = job_steps
        self._maintenance = maintenance
        self._failures = failures
        self._inspections = inspections
        self._background = background
        self._swept = False
        jobs.listen(self._changed)

    def follow_all(self) -> None:
        """Look at every job, once the worker has opened."""
        self._swept = False  # one sweep is enough for all jobs that ended before
        recorded = self._lanes.with_records()
        for job_id in recorded:
            if job_id not in self._jobs and job_id not in self._jobs.unreadable:
                self._release(job_id, None)  # it left the table while no worker had the partition
        for job in self._jobs:
            # There may be very many ended jobs: look only at those for which there is something to do.
            if job.state not in ENDED or job.purging or job.id in recorded:
                self._changed(job.id, job)
        self._swept = True
        self._background.start(self._maintenance.opened())

    def _changed(self, job_id: str, job: Job | None) -> None:
        if not self._lanes.open:
            return
        if job is None:
            self._release(job_id, None)
            return
        with self._failures.failing_only(job):
            self._follow(job)

    def _release(self, job_id: str, job: Job | None) -> None:
        """The job has ended, or has left the table: its lanes go."""
        self._scheduler.forget(job_id)
        self._inspections.drop(job_id)
        self._batches.traces.pop(job_id, None)
        phases: tuple[Phase, ...] = ("apply",) if job is not None and job.phase == "apply" else ("apply", "undo")
        lost = self._lanes.drop_lost(job_id, phases)
        self._checkpoints.drop(job_id, self._lanes.drop_job(job_id, job.run if job else None), lost)
        if job is None:
            self._job_steps.drop(job_id)
        elif job.options.dry_run and self._swept:
            self._background.start(self._maintenance.dry_run_over())

    def _follow(self, job: Job) -> None:
        if job.state in ENDED:
            self._release(job.id, job)
            self._job_steps.follow(job)
            return
        self._scheduler.set_rate(job)
        self._inspections.follow(job)
        for lane in self._lanes.of(job.id):
            lane.adopt(job.partitions)
            if lane.run != job.run or not runnable(job):
                lane.unload()
        self._checkpoints.job_changed(job)
        self._job_steps.follow(job)
        lost = self._lanes.loss(job)
        if lost is not None and self._lanes.may_work(job):
            self._failures.fail(job, lost)
        self._batches.woken.set()
        self._refill.job_changed(job.id)
