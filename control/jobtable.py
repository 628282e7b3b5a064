"""The control table as a process sees it: the newest state of each job, and the listeners to its changes.

Nearly all jobs in the table have ended. A rule that is checked for each command therefore goes through the jobs that
are at work or queued (`busy_or_queued`), or through those of one organisation, and never through the whole table; what
is seldom looked for goes through it once, and not once for each job. Those that have ended come in brief where many are
asked for; `get` has all of a job.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator

from control.memory.brief_jobs import Jobs
from control.memory.packed_jobs import PackedJobs
from control.newer_states import newer_state
from control.predicates import is_newer, runnable, understood
from runtime.telemetry.log_events import as_event
from schemas.job import BUSY_OR_QUEUED, Job
from schemas.messages.codec import UndecodableError, decode

log = logging.getLogger(__name__)

Listener = Callable[[str, Job | None], None]


def read_record(key: bytes | None, value: bytes | None) -> tuple[str, Job | None]:
    """The job id and the state that a record of the topic `jobs` carries; None: it is a tombstone.

    A state that a newer version has written, and that this one can't decode, comes as far as it can be: `understood` is
    false of it.

    Raises:
        UndecodableError: the value is not a state of the job that the key names.
    """
    job_id = (key or b"").decode("utf-8", "replace")
    if value is None:
        return job_id, None
    try:
        job: Job = decode(value, Job)
    except UndecodableError as error:
        newer = newer_state(value)
        if newer is None:
            raise
        log.warning(
            "job %s: a newer version has written its state, and this process leaves it alone: %s", newer.id, error,
            extra=as_event("job.not_understood", job=newer.id, epoch=newer.epoch),
        )  # fmt: skip
        job = newer
    if job.id != job_id:
        raise UndecodableError(f"the state of job {job.id[:80]!r} lies under another key")
    return job_id, job


class JobTable:
    """Job id -> state. Records may come twice or late: a newer state is never replaced by an older one."""

    def __init__(self, jobs: Jobs | PackedJobs | None = None) -> None:
        """`jobs` keeps them; None: `Jobs`, of which `__iter__` and `of` have those that have ended in brief."""
        self._jobs = Jobs() if jobs is None else jobs
        self._of: dict[str, dict[str, None]] = {}
        self._runnable: dict[str, Job] = {}
        self._listeners: list[Listener] = []
        self.not_understood: set[str] = set()
        """Jobs that a newer version has written in a way that this process does not know."""
        self.unreadable: set[str] = set()
        """Jobs of which a record could not be read: one that the table lacks for that is not gone."""
        self.newest_offset = -1
        """The offset of the newest command that a state names, of those that have come. That state never leaves the
        topic."""

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: str) -> bool:
        return self._jobs.brief(job_id) is not None

    def get(self, job_id: str) -> Job | None:
        """The job's newest state; None: there is no such job."""
        return self._jobs.get(job_id)

    def not_ended(self) -> list[Job]:
        """The jobs that have not ended."""
        return list(self._jobs.open.values())

    def busy_or_queued(self) -> list[Job]:
        """The jobs that are at work, or wait for their turn. Of these each organisation has a limited number; not of
        those that have failed."""
        if isinstance(self._jobs, Jobs):
            return list(self._jobs.busy_or_queued.values())
        return [job for job in self.not_ended() if job.state in BUSY_OR_QUEUED]

    def runnable(self) -> list[Job]:
        """The jobs whose blocks may be read, and applied or undone, now. Those that have failed or are paused, of which
        there may be any number, are not among them."""
        return list(self._runnable.values())

    def runnable_of(self, job_ids: Iterable[str]) -> list[Job]:
        """The jobs among these whose blocks may be read, and applied or undone, now."""
        return [self._runnable[job_id] for job_id in job_ids if job_id in self._runnable]

    def of(self, organisation: str) -> list[Job]:
        """The jobs of one organisation."""
        found = (self._jobs.brief(job_id) for job_id in self._of.get(organisation, ()))
        return [job for job in found if job is not None]

    def listen(self, listener: Listener) -> None:
        """Have `listener(job id, state)` called on each change; the state is None once the job has left the table."""
        self._listeners.append(listener)

    def apply(self, key: bytes | None, value: bytes | None) -> Job | None:
        """Take in one record of the topic `jobs`; answers the state in it, None for a tombstone, which removes its job.

        Raises:
            UndecodableError: it is no job's state. No job has changed.
        """
        try:
            job_id, job = read_record(key, value)
        except UndecodableError:
            self.unreadable.add((key or b"").decode("utf-8", "replace"))
            raise
        self.unreadable.discard(job_id)
        if job is None:
            self.remove(job_id)
        else:
            self.put(job)
        return job

    def is_newest(self, job: Job) -> bool:
        """Whether this state, which may be in brief, is the one that the table has."""
        now = self._jobs.brief(job.id)
        return now is not None and not is_newer(job, now) and not is_newer(now, job)

    def put(self, job: Job) -> bool:
        """Take in a state; False: it is known, or an older one."""
        before = self._jobs.brief(job.id)
        if not is_newer(job, before):
            # An older state can only come from a control agent that lost its partition and did not notice yet.
            return False
        if before is not None and before.organisation != job.organisation:
            self._leaves(before)
        self._jobs.put(job)
        if runnable(job):
            self._runnable[sys.intern(job.id)] = job
        else:
            self._runnable.pop(job.id, None)
        self.newest_offset = max(self.newest_offset, job.command_offset)
        self._of.setdefault(job.organisation, {}).setdefault(sys.intern(job.id))
        if understood(job):
            self.not_understood.discard(job.id)
        else:
            self.not_understood.add(job.id)
        self._tell(job.id, job)
        return True

    def remove(self, job_id: str) -> None:
        """The job has left the table."""
        self.not_understood.discard(job_id)
        self._runnable.pop(job_id, None)
        job = self._jobs.remove(job_id)
        if job is not None:
            self._leaves(job)
            self._tell(job_id, None)

    def _leaves(self, job: Job) -> None:
        """The job is no longer one of its organisation's."""
        others = self._of[job.organisation]
        del others[job.id]
        if not others:
            del self._of[job.organisation]

    def _tell(self, job_id: str, job: Job | None) -> None:
        for listener in self._listeners:
            listener(job_id, job)
