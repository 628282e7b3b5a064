"""The control table as a process sees it: each job's newest state, and who wants to hear of changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from schemas.codec import UndecodableError, decode
from schemas.job import Job

Listener = Callable[[str, Job | None], None]


class JobTable:
    """Job id -> state. Records may come twice or late: a state never goes back to an older command."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._listeners: list[Listener] = []

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def get(self, job_id: str) -> Job | None:
        """The job's newest state; None: there is no such job."""
        return self._jobs.get(job_id)

    def listen(self, listener: Listener) -> None:
        """Have `listener(job id, state)` called on each change; the state is None once the job has left the table."""
        self._listeners.append(listener)

    def apply(self, key: bytes | None, value: bytes | None) -> Job | None:
        """Take in one record of the topic `jobs`; answers the state in it, None for a tombstone, which removes its job.

        Raises:
            UndecodableError: it is no job's state. Nothing has changed.
        """
        name = (key or b"").decode("utf-8", "replace")
        if value is None:
            self.remove(name)
            return None
        job: Job = decode(value, Job)
        if job.id != name:
            raise UndecodableError(f"the state of job {job.id} lies under another key")
        self.put(job)
        return job

    def put(self, job: Job) -> bool:
        """Take in a state; False: it is known, or an older one."""
        known = self._jobs.get(job.id)
        if known is not None and (job.command_offset, job.epoch) <= (known.command_offset, known.epoch):
            # An older state can only come from a control agent that lost its partition and did not notice yet.
            return False
        self._jobs[job.id] = job
        self._tell(job.id, job)
        return True

    def remove(self, job_id: str) -> None:
        """The job has left the table."""
        if self._jobs.pop(job_id, None) is not None:
            self._tell(job_id, None)

    def _tell(self, job_id: str, job: Job | None) -> None:
        for listener in self._listeners:
            listener(job_id, job)
