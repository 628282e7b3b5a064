"""Jobs whose rows the reader refuses, as they can't become blocks: each is to fail with the reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.job import Job, State


@dataclass(frozen=True, slots=True)
class _GivenUp:
    reason: str
    epoch: int | None
    """The job's epoch in which it was given up; None: a resume does not change why."""


class GivenUpJobs:
    """The jobs that one process has given up."""

    def __init__(self) -> None:
        self._jobs: dict[str, _GivenUp] = {}

    def give_up(self, job_id: str, reason: str, epoch: int | None) -> None:
        """Refuse the job's rows until it is resumed, after this epoch; None: for as long as there is a job of this
        id."""
        self._jobs[job_id] = _GivenUp(reason, epoch)

    def get(self, job_id: str) -> str | None:
        """Why the job's rows are refused; None: they are not."""
        found = self._jobs.get(job_id)
        return None if found is None else found.reason

    def changed(self, job_id: str, job: Job | None) -> None:
        """The job has another state, or is gone. Its failure raises its epoch as well, and is no resume."""
        found = self._jobs.get(job_id)
        if found is None:
            return
        resumed = job is not None and job.state is not State.FAILED and found.epoch not in (None, job.epoch)
        if job is None or resumed:
            del self._jobs[job_id]
