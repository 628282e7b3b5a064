"""Follows a job's live events, across restarts of the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from client.requests.following import events
from commandline.connection import Api, Json
from commandline.errors import FAILED

_OVER: Final = frozenset({"COMPLETED", "COMPLETED_WITH_ERRORS", "TERMINATED", "ROLLED_BACK", "FAILED"})


def is_over(job: Json) -> bool:
    """Whether waiting ends here: the job has ended, has failed, or has paused itself: for its row errors, or for what
    its first rows look like."""
    suspected = job.get("suspicion") is not None and job["suspicion"]["message"] in (job["reason"] or "")
    return job["state"] in _OVER or (job["state"] == "PAUSED" and (job.get("budget") == "spent" or suspected))


def exit_code(job: Json) -> int:
    """The exit code of a command that has waited for this job."""
    return 0 if job["state"] == "COMPLETED" else FAILED


def follow(api: Api, job_id: str, say: Callable[[str], None]) -> Iterator[Json]:
    """The job after each change, until it is over; `say` gets a sentence when the connection is lost or restored.

    Raises:
        ClientError: the API refuses, or does not answer for a minute.
    """
    for job in api.each(events(job_id, say=say)):
        yield job
        if is_over(job):
            return
