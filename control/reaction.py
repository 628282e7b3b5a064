"""The whole effect of one command on one job: the state after it, the history, and the plan for the readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from control.authorization.senders import is_asked
from control.budget import overspent, reported_counts
from control.creation.inspection import INSPECTED_ROWS, explained, looks_at_rows, pause_reason
from control.errors import Rejected
from control.machine.context import Context
from control.machine.creations import turn_events
from control.machine.decision import decide
from control.machine.evolution import evolve_all
from schemas.bounds import MOST_REASON
from schemas.job import Job
from schemas.messages.commands import (
    Command,
    CreateJob,
    InputFailed,
    PauseJob,
    PurgeJob,
    Request,
    SetRate,
    StartJob,
    TimerDue,
    WorkFailed,
)
from schemas.messages.events import (
    UNAUDITED,
    CommandRejected,
    Created,
    Event,
    Failed,
    JobEvent,
    PauseRequested,
    Resumed,
    RetryStarted,
    RollbackRepeated,
    RollbackStarted,
    Started,
    TimerSet,
)
from schemas.messages.plans import CutExport, Plan, ReadFile, UndoRows


@dataclass(frozen=True, slots=True)
class Reaction:
    """What the control agent does about a command, in this order: history, plan, state."""

    job: Job | None = None
    """The state to write; None: it has not changed."""
    history: tuple[JobEvent | CommandRejected, ...] = ()
    plan: Plan | None = None


def react(job: Job | None, command: Command, context: Context) -> Reaction:
    """The effect of `command`, met at ``context.offset``, on `job` (None: there is no such job)."""
    if job is not None and context.offset <= job.command_offset:
        return Reaction()  # Kafka delivers commands again after a rebalance: the state has taken this one in
    verdict = decide(job, command, context)
    if isinstance(verdict, Rejected):
        return Reaction(history=(rejection(command, verdict, context),))
    if not verdict:
        # A state with the offset of a repeated request answers its sender; no sender waits for an answer to a report.
        seen = replace(job, command_offset=context.offset) if job and is_asked(command) else None
        return Reaction(job=seen)
    after = evolve_all(job, verdict, context)
    audited = [event for event in verdict if not isinstance(event, UNAUDITED)]
    after = _with_reason(after, command, audited)
    history = tuple(_record(after, event, command, context) for event in audited)
    return Reaction(after, history, plan_for(after, verdict))


def start(job: Job, context: Context) -> Reaction:
    """The effect on a queued job when its turn has come."""
    events = turn_events(job, context)
    after = replace(evolve_all(job, events, context), command_offset=max(job.command_offset, context.offset))
    failed = next((event for event in events if isinstance(event, Failed)), None)
    if failed is not None:
        after = replace(after, reason=failed.reason)
    return Reaction(after, (_record(after, events[0], None, context),), plan_for(after, events))


def plan_for(job: Job, events: Sequence[Event]) -> Plan | None:
    """The plan for the readers that begins with these events; None: they begin no work of readers."""
    if job.current_input.ended or job.checking:
        return None
    begins = any(
        isinstance(event, Started | Resumed | RetryStarted | RollbackStarted | RollbackRepeated) for event in events
    )
    if not begins or job.ended_at is not None:
        return None
    common: dict[str, Any] = {
        "job_id": job.id,
        "epoch": job.epoch,
        "run": job.run,
        "command_offset": job.command_offset,
        "partitions": job.partitions,
        "checkpoint": job.current_input,
    }
    if job.phase == "undo":
        return UndoRows(last_row=job.undo_rows, **common)
    if job.retry is not None and job.run:
        return ReadFile(dataset=job.dataset, source=job.retry, mode=job.mode, numbered=True, **common)
    match job.source.kind:
        case "file":
            looked_at = job.inspection != "none" and looks_at_rows(job.source, job.options)
            ahead = INSPECTED_ROWS if looked_at else 0
            return ReadFile(dataset=job.dataset, source=job.source, mode=job.mode, ahead_rows=ahead, **common)
        case "query":
            return CutExport(
                dataset=job.dataset,
                organisation=job.organisation,
                date_from=job.date_from or "",
                date_till=job.date_till,
                **common,
            )
        case "topic":
            return None  # the reader of the inbox needs no plan


def rejection(command: Command, verdict: Rejected, context: Context) -> CommandRejected:
    """The record of a command that changed nothing."""
    return CommandRejected(
        job_id=command.job_id,
        command_offset=context.offset,
        at=context.at,
        command=type(command).__name__,
        code=verdict.code,
        message=verdict.message,
        details=verdict.details,
        by=getattr(command, "by", None),
        reason=_cut(getattr(command, "reason", None)),
    )


def unreadable(job_id: str, problem: str, context: Context, command: str = "?", code: int = 400) -> CommandRejected:
    """The rejection of a record that can't be decoded as a command; `command`: the name that it gives itself."""
    return CommandRejected(
        job_id=job_id, command_offset=context.offset, at=context.at, command=command, code=code, message=problem
    )


def _with_reason(job: Job, command: Command, audited: Sequence[Event]) -> Job:
    for event in audited:
        if isinstance(event, PauseRequested) and event.suspected:
            return replace(job, reason=_cut(pause_reason(job)))
        if isinstance(event, PauseRequested) and event.budget_spent:
            return replace(job, reason=_cut(explained(job, overspent(job, reported_counts(job)))))
        if isinstance(event, Failed) and event.reason is not None:
            return replace(job, reason=_cut(event.reason))
    match command:
        case InputFailed() | WorkFailed():
            return replace(job, reason=_cut(command.reason)) if audited else job
        case CreateJob() | StartJob() | SetRate() | PurgeJob():
            return job
        case PauseJob(reason=None) if any(isinstance(event, TimerSet) for event in audited):
            return job  # why it was paused stays true
        case TimerDue():
            return replace(job, reason=None) if audited else job
        case _ if isinstance(command, Request):
            return replace(job, reason=command.reason)
        case _:
            return job


def _cut(reason: str | None) -> str | None:
    """A reason of bounded length: a report's may be an error of any length, and every process keeps it in memory."""
    return reason if reason is None or len(reason) <= MOST_REASON else f"{reason[: MOST_REASON - 3]}..."


def _has_own_reason(event: Event) -> bool:
    """Whether the control agent says why, rather than the command."""
    if isinstance(event, Failed):
        return event.reason is not None
    return isinstance(event, PauseRequested) and (event.budget_spent or event.suspected)


def _record(job: Job, event: Event, command: Command | None, context: Context) -> JobEvent:
    details = {} if isinstance(event, Created) else msgspec.to_builtins(event)
    details.pop("type", None)
    details.pop("reason", None)  # it stands beside the details
    return JobEvent(
        job_id=job.id,
        command_offset=context.offset,
        at=context.at,
        event=type(event).__name__,
        details=details,
        state=job.state,
        by=getattr(command, "by", None),
        reason=job.reason if _has_own_reason(event) or command is None else _cut(getattr(command, "reason", None)),
        job=job,
    )
