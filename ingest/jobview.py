"""The readers' view of the control table: job id -> job."""

from __future__ import annotations

import logging

from control.jobtable import JobTable, Listener
from schemas.codec import UndecodableError, decode
from schemas.job import Job

log = logging.getLogger(__name__)


class JobView:
    """The control table, and how far it has come."""

    def __init__(self) -> None:
        self._table = JobTable()
        self.newest_offset = -1
        """The newest command offset that any job's state has taken in."""

    def get(self, job_id: str) -> Job | None:
        """The job, or None if it is unknown or removed."""
        return self._table.get(job_id)

    def listen(self, listener: Listener) -> None:
        """Have `listener(job id, state)` called on each change; the state is None once the job is gone."""
        self._table.listen(listener)

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Take in one record of the topic; a tombstone removes its job."""
        if value is None:
            self._table.remove((key or b"").decode(errors="replace"))
            return
        try:
            job: Job = decode(value, Job)
        except UndecodableError as error:
            log.warning("job record of key %r is not readable and left out: %s", key, error)
            return
        self._table.put(job)
        self.newest_offset = max(self.newest_offset, job.command_offset)
