"""Follows a job to its end, across restarts of the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from client.requests import following
from client.requests.states import ENDED
from client.requests.waiting import waits_to_be_resumed
from commandline.connection import Api, Json
from commandline.errors import FAILED

_OVER: Final = ENDED | {"FAILED"}


def is_over(job: Json) -> bool:
    """Whether waiting ends here: the job has ended, has failed, or has paused itself: for its row errors, or for what
    its first rows look like."""
    suspected = job["suspicion"]["message"] if job.get("suspicion") is not None else None
    waits = waits_to_be_resumed(job["state"], job.get("budget"), suspected, job.get("reason"), job.get("resume_at"))
    return job["state"] in _OVER or waits


def exit_code(job: Json) -> int:
    """The exit code of a command that has waited for this job."""
    return 0 if job["state"] == "COMPLETED" else FAILED


def follow(api: Api, job_id: str, say: Callable[[str], None]) -> Iterator[Json]:
    """The job after each change, until it is over; `say` gets a sentence when the connection is lost or restored.

    Raises:
        ClientError: the API refuses, or does not answer for a minute.
    """
    for job in api.each(following.follow(job_id, say=say)):
        yield job
        if is_over(job):
            return
