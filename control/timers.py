"""Times at which a job goes on by itself: a paused one is resumed, one that is made for later starts. Pure.

A timer is a field of the job's state. When its time has come, the worker that owns the commands appends `TimerDue`, a
command like any other, and the control agent decides by the time of that record. A repeat finds the timer gone, so a
timer has its effect once, whatever has crashed meanwhile (decision 0050).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from control.predicates import held, paused_since, pausing
from runtime.text.formatting import iso_time
from schemas.job import Job, State
from schemas.messages.commands import CreateJob, PauseJob, Request, StartDraft, StartJob, TimerDue
from schemas.topics import DAY_MS, ROWS_DAYS

LONGEST_PAUSE_DAYS: Final = ROWS_DAYS - 1
"""From the beginning of the pause, however often its time is set. The last day that Kafka keeps a job's rows is for
what pausing takes. A job whose rows come by the inbox takes them from its creation on, so its start is no later.
"""
_LONGEST_PAUSE_MS: Final = LONGEST_PAUSE_DAYS * DAY_MS
LATEST_START_MS: Final = 366 * DAY_MS
_LATE_MS: Final = 60_000
"""A time that has gone by this recently was meant: the request was on its way."""


def timer_of(job: Job) -> int | None:
    """When the job goes on by itself, in milliseconds since 1970; None: it does not.

    A worker asks this of every job in the table, twice a second: what most jobs have not is looked at first.
    """
    if job.start_at is None and job.resume_at is None:
        return None
    return job.start_at if job.state is State.QUEUED else job.resume_at if held(job) else None


def asked_time(request: Request) -> int | None:
    """The time that a request asks for."""
    match request:
        case PauseJob():
            return request.resume_at
        case CreateJob() | StartJob() | StartDraft():
            return request.start_at
        case _:
            return None


def time_problem(request: Request, job: Job | None, now: int) -> str | None:
    """Why a request can't have the time that it asks for; None: it can, or asks for none. `job`: the one that it names,
    if it is there.

    The creation of a job that is there has had its time judged, and so has the start of a draft that is none any more:
    it comes again, perhaps once that time has gone by.
    """
    at = asked_time(request)
    if at is None or (job is not None and isinstance(request, CreateJob | StartJob)):
        return None
    if job is not None and isinstance(request, StartDraft) and job.state is not State.DRAFT:
        return None
    name = "resume_at" if isinstance(request, PauseJob) else "start_at"
    if at < now - _LATE_MS:
        return f"{name} has gone by already; name a time to come, or leave it out"
    if isinstance(request, PauseJob) and at > (last := _latest_resume(job, now)):
        return (
            f"resume_at is at most {LONGEST_PAUSE_DAYS} days after the pause begins, here {iso_time(last)}, as rows "
            f"are kept for {ROWS_DAYS}; name an earlier time, or leave it out: the job then goes on when somebody "
            f"resumes it"
        )
    if isinstance(request, CreateJob) and request.source.kind == "topic" and at > (last := now + _LONGEST_PAUSE_MS):
        return (
            f"start_at of a job whose rows come by the inbox is at most {LONGEST_PAUSE_DAYS} days ahead, here "
            f"{iso_time(last)}, as rows are kept for {ROWS_DAYS}; name an earlier time, or make the job later"
        )
    if at > now + LATEST_START_MS:
        return f"{name} is at most 366 days ahead"
    return None


def _latest_resume(job: Job | None, now: int) -> int:
    since = None if job is None else paused_since(job)
    return (now if since is None else since) + _LONGEST_PAUSE_MS


def due(jobs: Iterable[Job], now: int) -> list[TimerDue]:
    """The command for each timer whose time has come. A job that is still about to pause has its turn once it has."""
    return [
        TimerDue(job_id=job.id, due_at=at)
        for job in jobs
        if (at := timer_of(job)) is not None and at <= now and not pausing(job)
    ]
