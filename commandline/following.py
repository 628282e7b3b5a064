"""Follows a job's live events, across restarts of the API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from commandline.connection import Api, Json
from commandline.errors import FAILED, UNREACHABLE, ClientError
from runtime.retrying import Backoff

GIVE_UP_SECONDS = 60.0
BACKOFF: Final = Backoff(first=0.5, longest=5.0)
_SILENCE_SECONDS = 40.0
"""The API sends a heartbeat every 15 seconds."""

_OVER = frozenset({"COMPLETED", "COMPLETED_WITH_ERRORS", "TERMINATED", "ROLLED_BACK", "FAILED"})


def is_over(job: Json) -> bool:
    """Whether waiting ends here: the job has ended, has failed, or is PAUSED because of its row errors."""
    return job["state"] in _OVER or (job["state"] == "PAUSED" and job.get("budget") == "spent")


def exit_code(job: Json) -> int:
    """The exit code of a command that has waited for this job."""
    return 0 if job["state"] == "COMPLETED" else FAILED


def follow(
    api: Api,
    job_id: str,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Json]:
    """The job after each change, until it is over; `say` gets a sentence when the connection is lost or restored.

    Raises:
        ClientError: the API refuses, or does not answer for a minute.
    """
    lost_at: float | None = None
    pauses = BACKOFF.pauses()
    while True:
        try:
            with api.stream(f"/v1/jobs/{job_id}/watch", _SILENCE_SECONDS) as response:
                for job in jobs_in(response.iter_lines()):
                    if lost_at is not None:
                        say("the API answers again")
                    lost_at, pauses = None, BACKOFF.pauses()
                    yield job
                    if is_over(job):
                        return
        except ClientError as error:
            if error.exit_code != UNREACHABLE:
                raise
            cause = error
        else:
            cause = ClientError("the API closed the connection", UNREACHABLE)
        now = clock()
        if lost_at is None:
            lost_at = now
            say(f"the API does not answer; the job goes on without it. Trying again for {GIVE_UP_SECONDS:.0f} s ...")
        if now - lost_at > GIVE_UP_SECONDS:
            raise cause
        sleep(next(pauses))


def jobs_in(lines: Iterable[str]) -> Iterator[Json]:
    """The jobs that a stream of server-sent events carries."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            job: Json = json.loads("\n".join(data))
            data = []
            yield job
