"""Which request is legal in which state, and what it means when it comes again."""

from __future__ import annotations

from typing import Final, Literal

from control.errors import Rejected
from control.predicates import held, paused_itself
from control.transitions import moved_by
from schemas.descriptors.modes import RESTORING
from schemas.job import RESTING, Job, State
from schemas.messages.commands import (
    PauseJob,
    PurgeJob,
    Request,
    ResumeJob,
    RetryErrors,
    RollbackJob,
    SetRate,
    StartDraft,
    TerminateJob,
)

S = State
Answer = Literal["move", "already"]

_MOVES: Final[dict[type, frozenset[State]]] = {
    **{
        request: moved_by(request)
        for request in (StartDraft, PauseJob, ResumeJob, TerminateJob, RetryErrors, PurgeJob, SetRate)
    },
    RollbackJob: moved_by(RollbackJob) - {S.ROLLED_BACK},  # from there only with force: see `_forced`
}
"""Request -> the states in which it moves a job on."""

_ALREADY: Final[dict[type, frozenset[State]]] = {
    StartDraft: frozenset(State) - {S.DRAFT},
    PauseJob: frozenset({S.PAUSING, S.PAUSED, S.ROLLBACK_PAUSED}),
    ResumeJob: frozenset({S.RUNNING, S.ROLLING_BACK}),
    TerminateJob: frozenset({S.TERMINATING, S.TERMINATED, S.ROLLING_BACK, S.ROLLBACK_PAUSED, S.ROLLED_BACK}),
    RollbackJob: frozenset({S.ROLLING_BACK, S.ROLLBACK_PAUSED, S.ROLLED_BACK}),
    RetryErrors: frozenset({S.RUNNING, S.PAUSING, S.PAUSED, S.COMPLETED, S.COMPLETED_WITH_ERRORS}),
    PurgeJob: frozenset(),
    SetRate: frozenset(),
}
"""Request -> the states in which it has taken effect before: it succeeds and changes nothing. A retry is a repeat only
if its file is the one that was sent last, a start only if it is of the file that the job has."""

_KEPT = "it was terminated with its rows kept; to take them out, use rollback when it is TERMINATED"
_TAKEN_OUT = "it was terminated with its rows taken out; they can't be kept any more"

VERBS: Final[dict[type, str]] = {
    StartDraft: "start",
    PauseJob: "pause",
    ResumeJob: "resume",
    TerminateJob: "terminate",
    RollbackJob: "rollback",
    RetryErrors: "retry-errors",
    PurgeJob: "purge",
    SetRate: "rate",
}
"""Request -> its name in the API and on the command line."""


def repeated_states(request: type) -> tuple[State, ...]:
    """The states in which this request has taken effect before, in the order of a job's life."""
    return tuple(state for state in State if state in _ALREADY[request])


def allowed_states(request: type) -> tuple[State, ...]:
    """The states in which this request moves a job on, in the order of a job's life."""
    return tuple(state for state in State if state in _MOVES[request])


def legality(job: Job, request: Request) -> Answer | Rejected:
    """Whether `request` moves this job, has taken effect before, or is refused."""
    kind = type(request)
    if job.purging or job.purged_at is not None:
        if isinstance(request, PurgeJob):
            return "already" if job.state in _MOVES[kind] else _refused(job, request)
        again = isinstance(request, RollbackJob) and request.force and job.state is S.ROLLED_BACK
        moved = job.state in _MOVES[kind] or again
        if isinstance(request, RollbackJob) and job.mode in RESTORING and moved:
            text = f"job {job.id} was purged, and with it what it wrote over: it can't be rolled back any more"
            return Rejected(409, text, {"state": job.state})
        if job.purging and moved:
            return Rejected(409, f"job {job.id} is being purged; wait until that is over", {"state": job.state})
    if isinstance(request, PauseJob) and held(job):
        return _timed(job, request)
    if isinstance(request, ResumeJob) and job.state is S.QUEUED and job.start_at is not None:
        return "move"
    if isinstance(request, TerminateJob) and job.state in _ALREADY[kind] and request.keep_rows != job.keep_rows:
        return Rejected(
            409, f"job {job.id} is {job.state}: {_KEPT if job.keep_rows else _TAKEN_OUT}", {"state": job.state}
        )
    if isinstance(request, ResumeJob) and job.halting:
        return Rejected(
            409, f"job {job.id} is about to pause; wait until it is {S.ROLLBACK_PAUSED}", {"state": job.state}
        )
    if isinstance(request, StartDraft) and job.state is not S.DRAFT and job.source.sha256 != request.source.sha256:
        return Rejected(409, f"job {job.id} is {job.state}, and has its file already", {"state": job.state})
    if isinstance(request, RollbackJob) and request.force and job.state in _ALREADY[kind] and not job.force:
        return _forced(job)
    if isinstance(request, RetryErrors) and job.options.dry_run:
        return Rejected(
            409,
            f"job {job.id} is a dry run: correct its file itself, and send it as a new job",
            {"state": job.state},
        )
    if isinstance(request, RetryErrors) and not _sent_before(job, request):
        return "move" if job.state in _MOVES[kind] else _refused(job, request)
    if job.state in _ALREADY[kind] and isinstance(request, RetryErrors):
        return "already"
    if job.state in _MOVES[kind]:
        return "move"
    if job.state in _ALREADY[kind]:
        return "already"
    return _refused(job, request)


def _timed(job: Job, request: PauseJob) -> Answer | Rejected:
    """A pause of a job that is paused: it sets or cancels the time at which the job goes on. To go on waives what a job
    has paused itself for, and the sender may not have seen that."""
    if request.resume_at == job.resume_at:
        return "already"
    if request.resume_at is None or not paused_itself(job):
        return "move"
    return Rejected(
        409,
        f"job {job.id} has paused itself, and goes on only when somebody resumes it: {job.reason or 'look at it'}. "
        f"If it is to wait until a time nevertheless, resume it and then pause it until that time",
        {"state": job.state},
    )


def _forced(job: Job) -> Answer | Rejected:
    """A rollback with force of a job that is, or was, rolled back without it."""
    if job.state is not S.ROLLED_BACK:
        end = "resume it" if job.state is S.ROLLBACK_PAUSED else f"wait until it is {S.ROLLED_BACK}"
        return Rejected(
            409,
            f"job {job.id} is {job.state} without force: {end}, then ask for force",
            {"state": job.state, "allowed": [S.ROLLED_BACK]},
        )
    return "move" if job.undone is not None and job.undone.rows_kept + job.undone.rows_not_restored else "already"


def _sent_before(job: Job, request: RetryErrors) -> bool:
    sent = job.retry
    return sent is not None and (sent.sha256, sent.bytes) == (request.source.sha256, request.source.bytes)


def _refused(job: Job, request: Request) -> Rejected:
    kind = type(request)
    allowed = allowed_states(kind)
    return Rejected(
        409,
        f"job {job.id} is {job.state}: {VERBS[kind]} is possible when it is {_or(allowed)}{_advice(job, request)}",
        {"state": job.state, "allowed": list(allowed)},
    )


def _or(states: tuple[State, ...]) -> str:
    names = [str(state) for state in states]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _advice(job: Job, request: Request) -> str:
    match request:
        case ResumeJob() if job.state is S.PAUSING:
            return "; wait until it is PAUSED"
        case TerminateJob() if job.state in _MOVES[RollbackJob]:
            return "; to take its rows out again, use rollback"
        case RollbackJob() if job.state in _MOVES[TerminateJob]:
            return "; to stop it and take its rows out again, use terminate"
        case RetryErrors() if job.state is S.COMPLETED:
            return "; it has no row errors"
        case PurgeJob() if job.state is S.FAILED:
            return "; roll it back first, or resume it"
        case PurgeJob() if job.state is S.ROLLBACK_PAUSED:
            return "; resume it first"
        case PurgeJob() if job.state not in _MOVES[TerminateJob]:
            return "; wait until it is over"
        case PurgeJob() if job.state in RESTING - {S.QUEUED}:
            return "; terminate it first"
        case PurgeJob():
            return "; wait until it is over, or terminate it first"
        case RetryErrors() if job.state is S.FAILED:
            return "; resume it first"
        case _:
            return ""
