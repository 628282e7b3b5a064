"""What keeps jobs from going on for now, shown in their lanes (`LaneRecord.error`): a trouble of one job in its own
lanes, one of Elasticsearch's in those of all jobs that wait for it.

A job that is purged is over, and has no lanes any more. It gets one to show what its purge waits for, which goes as any
other when the job's next state comes: after the purge, or in the worker that begins it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from control.creation.inspection import awaits_inspection
from control.jobtable import JobTable
from processor.lanes.checkpoints import Checkpoints
from processor.lanes.lane import Lane
from processor.lanes.owned_lanes import JOB_STEP_PARTITION, Lanes
from schemas.job import Job


class Troubles:
    """Shows troubles, and takes them away again. Elasticsearch's never replaces one that a lane has by itself."""

    def __init__(self, jobs: JobTable, lanes: Lanes, checkpoints: Checkpoints) -> None:
        self._jobs = jobs
        self._lanes = lanes
        self._checkpoints = checkpoints
        self._common: dict[Lane, str] = {}
        """What lanes show of Elasticsearch's."""

    def of_elasticsearch(self, reason: str | None) -> None:
        """Show why Elasticsearch does not answer; None: it answers again."""
        if reason is None:
            common, self._common = self._common, {}
            for lane, shown in common.items():
                if lane.error == shown:
                    self._show(lane, None)
            return
        for job in self._lanes.purging:
            if self._lanes.get(job.id, JOB_STEP_PARTITION) is None:
                self._lanes.put(Lane(job.id, JOB_STEP_PARTITION, job.partitions, job.phase, job.run))
        for lane in self._lanes:
            if lane.error == self._common.get(lane) and (lane.error is not None or self._waits(lane)):
                self._common[lane] = reason
                self._show(lane, reason)

    @contextmanager
    def of_job(self, job: Job, reason: str) -> Iterator[None]:
        """Show a trouble of one job as long as it lasts."""
        lanes = list(self._lanes.of(job.id))
        for lane in lanes:
            self._show(lane, reason)
        try:
            yield
        finally:
            for lane in lanes:
                if lane.error == reason:
                    self._show(lane, None)

    def _show(self, lane: Lane, reason: str | None) -> None:
        if lane.error != reason and self._lanes.is_current(lane):
            lane.error = reason
            self._checkpoints.show(lane)

    def _waits(self, lane: Lane) -> bool:
        """Whether a request of the lane's job may be under way: for its blocks, its first rows, its end, or its
        purge."""
        job = self._jobs.get(lane.job_id)
        inspected = job is not None and awaits_inspection(job)
        purged = any(job.id == lane.job_id for job in self._lanes.purging)
        return bool(lane.flying) or inspected or purged or lane.job_id in self._lanes.in_job_step
