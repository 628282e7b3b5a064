"""The events of requests that move a job, and of its timers. Pure."""

from __future__ import annotations

from typing import assert_never

from control.creation.admission import makes_file
from control.creation.exclusive import at_work, busy, details_of, either, ways_to_free
from control.creation.limits import source_problem
from control.creation.quotas import (
    running_problem,
    size_problem,
    stored_files,
    stored_problem,
    usage_of,
)
from control.errors import Rejected
from control.machine.consequences import all_rested, consequences, rollback
from control.machine.context import Context
from control.machine.creations import file_received, turn_events
from control.machine.evolution import evolve_all
from control.predicates import held, holds_key, pausing, taking_out
from control.timers import timer_of
from runtime.text.formatting import iso_time
from schemas.job import Job, State
from schemas.messages.commands import (
    CreateJob,
    PauseJob,
    PurgeJob,
    Request,
    ResumeJob,
    RetryErrors,
    RollbackJob,
    SetRate,
    StartDraft,
    StartJob,
    TerminateJob,
    TimerDue,
)
from schemas.messages.events import (
    Event,
    PauseRequested,
    PurgeBegun,
    RateSet,
    Resumed,
    RetryStarted,
    Terminated,
    TerminationRequested,
    TimerSet,
)

S = State


def request_events(job: Job, request: Request, context: Context) -> tuple[Event, ...] | Rejected:
    """The events of a request that is legal in the job's state and has not taken effect before."""
    match request:
        case CreateJob() | StartJob():
            raise AssertionError("a creation is not a move")
        case StartDraft():
            return file_received(job, request, context)
        case PauseJob():
            return (TimerSet(request.resume_at),) if held(job) else (PauseRequested(resume_at=request.resume_at),)
        case ResumeJob():
            return _start_now(job, context) if job.state is S.QUEUED else _resume(job, context)
        case TerminateJob():
            return _terminate(job, request, context)
        case RollbackJob():
            restoring = _another_restores(job, context)
            if restoring is not None:
                return restoring
            # A rollback that has failed begins anew, as resolute as it was: blocks of the old one may be lost.
            force = request.force or (job.force and job.state is S.FAILED)
            if job.state is S.FAILED and job.started_at is not None and not all_rested(job):
                return (TerminationRequested(keep_rows=False, force=force),)
            return rollback(job, context, force)
        case RetryErrors():
            return _retry(job, request, context)
        case PurgeJob():
            return _purge(job, context)
        case SetRate():
            return (RateSet(request.rows_per_second),)
        case _:
            assert_never(request)


def _resume(job: Job, context: Context) -> tuple[Event, ...] | Rejected:
    # A failed job has given its exclusive key back: another job may hold it by now.
    if job.state is S.FAILED and job.phase == "apply" and job.exclusive_key:
        holder = context.holder(job.exclusive_key)
        if holder is not None:
            return busy(holder, job, queueing=False)
    if job.state is S.FAILED and job.phase == "apply" and (full := _quota_problem(job, context)) is not None:
        return full
    if job.state is S.FAILED and job.phase == "undo":
        restoring = _another_restores(job, context)
        if restoring is not None:
            return restoring
    resumed: tuple[Event, ...] = (Resumed(),)
    return resumed + consequences(evolve_all(job, resumed, context), context)


def timer_events(job: Job, command: TimerDue, context: Context) -> tuple[Event, ...] | Rejected:
    """The events of a timer; none, if it is another one by now, or its time has not come by the record's time."""
    if command.due_at != timer_of(job) or context.at < command.due_at or pausing(job):
        return ()
    return _start_now(job, context) if job.state is S.QUEUED else _resume(job, context)


def _start_now(job: Job, context: Context) -> tuple[Event, ...]:
    """The events of a job whose time to start has come: it starts, or queues as any other."""
    alone = job.exclusive_key is None or context.holder(job.exclusive_key) is None
    free = alone and _quota_problem(job, context) is None
    return (TimerSet(None), *turn_events(job, context)) if free else (TimerSet(None),)


def _another_restores(job: Job, context: Context, advice: str | None = None) -> Rejected | None:
    """Why documents can't be given back, or taken out, now: another job may write over them, or gives them back.

    `advice`: what to do about it, if that is not to end that job's work first.
    """
    if not job.exclusive_key or job.mode is None:
        return None
    key = job.exclusive_key
    beside = (other for other in context.busy_or_queued() if other.exclusive_key == key and holds_key(other))
    other = next(
        (other for other in beside if other.id != job.id and (job.restores or (other.restores and taking_out(other)))),
        None,
    )
    if other is None:
        return None
    todo = advice or f"{either(ways_to_free(other, job))}, then roll back"
    text = f"{at_work(other, job)}, and documents are not given back meanwhile: {todo}"
    return Rejected(409, text, details_of(other, job))


def _retry(job: Job, request: RetryErrors, context: Context) -> tuple[Event, ...] | Rejected:
    if request.source.kind != "file" or not request.source.path or not request.source.sha256:
        return Rejected(400, "corrected rows come as a file: source.path and source.sha256 name it")
    problem = source_problem(request.source)
    if problem is not None:
        return Rejected(400, problem)
    if (gone := job.lacks("row_errors")) is not None:
        return Rejected(409, f"the row errors of job {job.id} were removed on {iso_time(gone)}: upload the rows anew")
    if request.errors_of_run != job.run:
        return Rejected(409, f"the row errors of job {job.id} have changed meanwhile: look at them again")
    # An ended job has given its exclusive key back: another job may hold it by now.
    holder = context.holder(job.exclusive_key) if job.exclusive_key else None
    if holder is not None:
        return busy(holder, job, queueing=False)
    quotas = context.catalog.quotas.of(job.organisation)
    problem_of_size = size_problem(request.source, job.organisation, quotas) or stored_problem(
        request.source, usage_of(job.organisation, context.jobs_of(job.organisation)), job.organisation, quotas
    )
    if problem_of_size is not None:
        return problem_of_size
    return _quota_problem(job, context) or (RetryStarted(request.source),)


def _purge(job: Job, context: Context) -> tuple[Event, ...] | Rejected:
    paths = {path for path, _ in stored_files(job)}
    reader = next(
        (
            other.id
            for other in context.not_ended()
            if other.id != job.id and paths & {path for path, _ in stored_files(other)}
        ),
        None,
    )
    if reader is None:
        return (PurgeBegun(),)
    text = f"job {reader} reads the file of job {job.id} and is not over: wait until it is, or terminate it"
    return Rejected(409, text, {"job_id": reader})


def _quota_problem(job: Job, context: Context) -> Rejected | None:
    """Why a job that is not at work may not go on: its organisation has as many at work as it may. Nothing keeps one
    from being taken out."""
    quotas = context.catalog.quotas.of(job.organisation)
    return running_problem(usage_of(job.organisation, context.jobs_of(job.organisation)), job.organisation, quotas)


def _terminate(job: Job, request: TerminateJob, context: Context) -> tuple[Event, ...] | Rejected:
    if request.keep_rows and makes_file(job.operation, context.catalog):
        return Rejected(400, f"job {job.id} makes a file, and half of one is not kept: terminate it without keep_rows")
    if not request.keep_rows and job.started_at is not None:
        advice = f"pause job {job.id} until that is over, or terminate it with its rows kept (keep_rows; --keep-rows)"
        restoring = _another_restores(job, context, advice)
        if restoring is not None:
            return restoring
    requested: tuple[Event, ...] = (TerminationRequested(request.keep_rows),)
    # Nothing of a queued or a paused job is in flight: no further proof is needed.
    if job.state in (S.DRAFT, S.QUEUED):
        return (*requested, Terminated()) if request.keep_rows else (*requested, *rollback(job, context))
    if job.state is S.PAUSED:
        if request.keep_rows:
            return (*requested, Terminated())
        return (*requested, *rollback(job, context))
    return requested
