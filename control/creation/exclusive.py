"""Jobs that must not run at once: which one holds a key, and what is said to those that have to wait. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from control.errors import Rejected
from control.predicates import holds_key
from schemas.job import Job, State

_WAIT: Final = "wait for it"


def holder(jobs: Iterable[Job], key: str) -> Job | None:
    """The job that holds this exclusive key; None: it is free."""
    return next((job for job in jobs if job.exclusive_key == key and holds_key(job)), None)


class KeyHolders:
    """The jobs that hold each exclusive key, kept as states of jobs come. Rollbacks may hold one together."""

    def __init__(self) -> None:
        self._holders: dict[str, dict[str, None]] = {}

    def put(self, job: Job) -> None:
        """The job is in this state now."""
        if job.exclusive_key is not None and holds_key(job):
            self._holders.setdefault(job.exclusive_key, {})[job.id] = None
        else:
            self.remove(job)

    def remove(self, job: Job | None) -> None:
        """The job is not there any more."""
        if job is None or job.exclusive_key is None:
            return
        found = self._holders.get(job.exclusive_key, {})
        found.pop(job.id, None)
        if not found:
            self._holders.pop(job.exclusive_key, None)

    def of(self, key: str) -> str | None:
        """The id of a job that holds this key; None: it is free."""
        return next(iter(self._holders.get(key, ())), None)


def busy(holding: Job, job: Job, *, queueing: bool) -> Rejected:
    """The refusal of what needs the key that `holding` has. `queueing`: `job` could have asked to wait for its turn."""
    ways = ways_to_free(holding, job)
    if queueing:
        ways.append('ask to be queued behind it (if_busy: "queue")')
    told = f"{at_work(holding, job)}, and two at once are not allowed"
    return Rejected(409, f"{told}: {either(ways)}", details_of(holding, job))


def awaited(holding: Job, job: Job) -> str:
    """What a queued job waits for, in words that go on after "It waits for"."""
    ways = ways_to_free(holding, job)
    # Where it does not end by itself, somebody has to do something.
    acting = "" if _WAIT in ways else f": {either(ways)}"
    return f"{_named(holding, job)}, which is {holding.state}{acting}"


def at_work(holding: Job, job: Job) -> str:
    """What the job that holds a key is doing, as far as the organisation of `job` may know it."""
    return f"{_named(holding, job)} is {holding.state} on dataset {holding.dataset}"


def _named(holding: Job, job: Job) -> str:
    if not _visible(holding, job):
        return "a job of another organisation"
    return f"job {holding.id} of organisation {holding.organisation}"


def details_of(holding: Job, job: Job) -> dict[str, Any]:
    """The same for programs."""
    return {"job_id": holding.id} if _visible(holding, job) else {}


def _visible(holding: Job, job: Job) -> bool:
    return holding.organisation == job.organisation


def ways_to_free(holding: Job, job: Job) -> list[str]:
    """What makes the key free, for those that wait with `job`. A job that is paused does not end by itself, unless it
    goes on at a time; what another organisation does is not theirs to say.
    """
    if not _visible(holding, job):
        return [_WAIT]
    match holding.state:
        case State.PAUSED if holding.resume_at is None:
            return ["resume it", "terminate it"]
        case State.PAUSING:
            return ["terminate it"]
        case State.RUNNING | State.PAUSED:
            return [_WAIT, "terminate it"]
        case State.ROLLBACK_PAUSED if holding.resume_at is None:
            return ["resume it"]
        case _:
            return [_WAIT]


def either(ways: list[str]) -> str:
    """These ways, one of which is enough, in words."""
    return ways[0] if len(ways) == 1 else f"{', '.join(ways[:-1])} or {ways[-1]}"
