"""What keeps jobs from going on for now, shown in their lanes (`LaneRecord.error`): a trouble of one job, or of one
dataset, in the lanes of these jobs, one of Elasticsearch's in those of all jobs that wait for it.

A job that is purged is over, and has no lanes any more. It gets one to show what its purge waits for, which goes as any
other when the job's next state comes: after the purge, or in the worker that begins it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from control.creation.inspection import awaits_inspection
from control.jobtable import JobTable
from control.predicates import runnable
from processor.blocked import Blocked, Who
from processor.lanes.checkpoints import Checkpoints
from processor.lanes.lane import Lane
from processor.lanes.owned_lanes import JOB_STEP_PARTITION, Lanes
from schemas.job import Job


class Troubles:
    """Shows troubles, and takes them away again. Elasticsearch's never replaces one that a lane has by itself."""

    def __init__(self, jobs: JobTable, lanes: Lanes, checkpoints: Checkpoints, blocked: Blocked) -> None:
        self._jobs = jobs
        self._lanes = lanes
        self._checkpoints = checkpoints
        self._blocked = blocked
        self._shown: dict[Who | None, dict[Lane, str]] = {}
        """Whose requests Elasticsearch puts off (None: all) -> what lanes show of that."""

    def of_elasticsearch(self, reason: str | None, who: Who | None = None) -> None:
        """Show why Elasticsearch does not answer; None: it answers again. `who`: the jobs whose requests it puts off;
        None: all that wait for an answer."""
        if reason is None:
            for lane, shown in self._shown.pop(who, {}).items():
                if lane.error == shown:
                    self._show(lane, None)
            return
        common = {lane: shown for lanes in self._shown.values() for lane, shown in lanes.items()}
        for job in self._lanes.purging:
            if self._lanes.get(job.id, JOB_STEP_PARTITION) is None:
                self._lanes.put(Lane(job.id, JOB_STEP_PARTITION, job.partitions, job.phase, job.run))
        for lane in self._lanes:
            if lane.error not in (None, common.get(lane)):
                continue
            mine = lane in self._shown.get(who, ()) and lane.error is not None
            if mine or (self._waits(lane) if who is None else self._is_held(lane, who)):
                for others in self._shown.values():
                    others.pop(lane, None)
                self._shown.setdefault(who, {})[lane] = reason
                self._show(lane, reason)

    @contextmanager
    def of_job(self, job: Job, reason: str) -> Iterator[None]:
        """Show a trouble of one job as long as it lasts; the job holds up no others meanwhile."""
        lanes = list(self._lanes.of(job.id))
        for lane in lanes:
            self._show(lane, reason)
        try:
            with self._blocked.of_job(job):
                yield
        finally:
            for lane in lanes:
                if lane.error == reason:
                    self._show(lane, None)

    def _show(self, lane: Lane, reason: str | None) -> None:
        if lane.error != reason and self._lanes.is_current(lane):
            lane.error = reason
            self._checkpoints.show(lane)

    def _is_held(self, lane: Lane, who: Who) -> bool:
        """Whether the lane is one of these jobs, and has something to do or waits for an answer."""
        job = self._jobs.get(lane.job_id)
        return job is not None and who.means(job) and (self._waits(lane) or bool(lane.todo and runnable(job)))

    def _waits(self, lane: Lane) -> bool:
        """Whether a request of the lane's job may be under way: for its blocks, its first rows, its end, or its
        purge."""
        job = self._jobs.get(lane.job_id)
        inspected = job is not None and awaits_inspection(job)
        purged = any(job.id == lane.job_id for job in self._lanes.purging)
        return bool(lane.flying) or inspected or purged or lane.job_id in self._lanes.in_job_step
