"""What an event makes of a job: ``evolve``. Pure: the time is the timestamp of the command's record."""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from control.creation.inspection import looked_at
from control.machine.context import Context
from control.machine.totals import settled, undone_totals
from control.predicates import held
from schemas.job import Input, Job, LaneTotals, State
from schemas.messages.events import (
    Completed,
    Created,
    Event,
    Expired,
    Failed,
    FileBegun,
    FileReceived,
    InputAnnounced,
    InputCompleted,
    InputMoved,
    Inspected,
    LanesFinished,
    LanesStopped,
    LanesTallied,
    Paused,
    PauseRequested,
    ProbePassed,
    PurgeBegun,
    Purged,
    PurgeFailed,
    RateSet,
    Resumed,
    RetryStarted,
    RollbackRepeated,
    RollbackStarted,
    RolledBack,
    Started,
    Suspected,
    Terminated,
    TerminationRequested,
    TimerSet,
    UndoFinished,
)
from schemas.messages.formats import IMAGE_GROUPS, TIMERS

S = State


def evolve_all(job: Job | None, events: tuple[Event, ...], context: Context) -> Job:
    """The state after these events of one command."""
    for event in events:
        job = evolve(job, event, context.at, context.offset)
    assert job is not None, "the first event of a job is Created"
    return job


def evolve(job: Job | None, event: Event, at: int, offset: int) -> Job:
    """The state after `event`, which followed from the command at `offset`, whose record is of the time `at`."""
    after = _evolved(job, event, at, offset)
    if after.start_at is not None and after.state not in (S.QUEUED, S.DRAFT):
        after = replace(after, start_at=None)
    if after.resume_at is not None and not held(after):
        after = replace(after, resume_at=None)
    return after if job is not None and after.state is job.state else replace(after, state_since=at)


def _evolved(job: Job | None, event: Event, at: int, offset: int) -> Job:
    if isinstance(event, Created):
        return event.job
    assert job is not None, "the first event of a job is Created"
    job = replace(job, command_offset=offset)
    match event:
        case FileReceived():
            return replace(job, state=S.QUEUED, source=event.source)
        case Started():
            return replace(job, state=S.RUNNING, started_at=at, epoch=job.epoch + 1)
        case PauseRequested():
            return _pause_requested(job, event)
        case Paused():
            state = S.ROLLBACK_PAUSED if job.phase == "undo" else S.PAUSED
            return replace(job, state=state, halting=False)
        case Resumed():
            return _resumed(job, at)
        case TerminationRequested():
            return _termination_requested(job, event)
        case Terminated():
            return _terminated(job, at)
        case RetryStarted():
            return _retry_started(job, event)
        case RollbackStarted():
            return _rollback_started(job, event)
        case UndoFinished():
            return replace(job, checking=True, undone=(job.undone or LaneTotals()).another_round(event.totals))
        case RollbackRepeated():
            return replace(_next_run(job), undo_rows=max(job.undo_rows, event.last_row), left_over=event.remaining)
        case RolledBack():
            return _rolled_back(job, event, at)
        case PurgeBegun():
            return replace(job, epoch=job.epoch + 1, purging=True, purge_problem=None)
        case Purged():
            return replace(job, purging=False, purged_at=at)
        case PurgeFailed():
            return replace(job, purging=False, purge_problem=event.problem)
        case Expired():
            return replace(job, expired={**job.expired, **dict.fromkeys(event.stores, at)})
        case RateSet():
            return replace(job, options=replace(job.options, rows_per_second=event.rows_per_second))
        case TimerSet():
            return _timer_set(job, event)
        case InputMoved() | InputCompleted():
            return _input_moved(job, event)
        case InputAnnounced():
            return replace(job, announced_rows=event.rows)
        case LanesStopped():
            return replace(job, lanes_rested={**job.lanes_rested, **event.lanes})
        case LanesTallied():
            return replace(job, lanes_counted={**job.lanes_counted, **event.lanes})
        case ProbePassed():
            return replace(job, budget="open")
        case Inspected():
            return replace(job, inspection="done", needs=looked_at(job))
        case Suspected():
            return _suspected(job, event)
        case LanesFinished():
            return replace(job, lanes_done={**job.lanes_done, **event.lanes})
        case FileBegun():
            return replace(job, finishing=True)
        case Completed():
            return _completed(job, event, at)
        case Failed():
            return replace(job, state=S.FAILED, epoch=job.epoch + 1, ended_at=at, lanes_rested={}, halting=False)
        case _:
            assert_never(event)


def _pause_requested(job: Job, event: PauseRequested) -> Job:
    budget = "spent" if event.budget_spent else job.budget
    rested = replace(job, epoch=job.epoch + 1, lanes_rested={}, budget=budget, resume_at=event.resume_at)
    if job.state is S.ROLLING_BACK:
        return replace(rested, halting=True)
    return replace(rested, state=S.PAUSING)


def _resumed(job: Job, at: int) -> Job:
    state = S.ROLLING_BACK if job.phase == "undo" else S.RUNNING
    return replace(
        job,
        state=state,
        epoch=job.epoch + 1,
        lanes_rested={},
        halting=False,
        ended_at=None,
        started_at=job.started_at or at,
        budget="waived" if job.budget == "spent" else job.budget,
        inspection="waived" if job.inspection == "suspicious" else job.inspection,
        needs=looked_at(job) if job.inspection == "suspicious" else job.needs,
    )


def _termination_requested(job: Job, event: TerminationRequested) -> Job:
    kept = job.lanes_rested if job.state is S.PAUSED else {}
    return replace(
        job,
        state=S.TERMINATING,
        epoch=job.epoch + 1,
        lanes_rested=kept,
        keep_rows=event.keep_rows,
        force=event.force,
        ended_at=None,
    )


def _terminated(job: Job, at: int) -> Job:
    return replace(job, state=S.TERMINATED, ended_at=at, applied=settled(job, _rested_totals(job)), lanes_rested={})


def _retry_started(job: Job, event: RetryStarted) -> Job:
    return replace(
        _next_run(job),
        state=S.RUNNING,
        retry=event.source,
        retry_input=Input(),
        ended_at=None,
        # An operator who corrects rows knows of the errors: they do not pause the job once more.
        budget="waived" if job.options.max_errors is not None else job.budget,
    )


def _rollback_started(job: Job, event: RollbackStarted) -> Job:
    again = job.phase == "undo"
    return replace(
        _next_run(job),
        force=event.force,
        state=S.ROLLING_BACK,
        phase="undo",
        finishing=False,
        undo_rows=event.last_row,
        applied=job.applied if again else settled(job, _rested_totals(job)),
        undone=undone_totals(job) if again else None,
        ended_at=None,
        keep_rows=False,
        # The rollback may have to pass images on to another job, whose images an older process does not find.
        needs=job.needs if job.mode is None else max(job.needs, IMAGE_GROUPS),
    )


def _rolled_back(job: Job, event: RolledBack, at: int) -> Job:
    undone = (job.undone or LaneTotals()) + LaneTotals(rows_undone=event.rows_undone)
    return replace(job, state=S.ROLLED_BACK, ended_at=at, checking=False, undone=undone, left_over=0)


def _timer_set(job: Job, event: TimerSet) -> Job:
    if job.state is not S.QUEUED:
        return replace(job, resume_at=event.at)
    # A control agent that does not know the time to start would start the job at once.
    needs = job.needs if event.at is None else max(job.needs, TIMERS)
    return replace(job, start_at=event.at, needs=needs)


def _input_moved(job: Job, event: InputMoved | InputCompleted) -> Job:
    if job.phase == "undo":
        return replace(job, undo_input=event.input)
    return replace(job, retry_input=event.input) if job.run else replace(job, input=event.input)


def _suspected(job: Job, event: Suspected) -> Job:
    inspection, needs = ("suspicious", job.needs) if event.pauses else ("done", looked_at(job))
    return replace(job, inspection=inspection, suspicion=event.suspicion, needs=needs)


def _completed(job: Job, event: Completed, at: int) -> Job:
    state = S.COMPLETED_WITH_ERRORS if event.totals.rows_failed else S.COMPLETED
    budget = "open" if job.budget == "probing" else job.budget  # it was shorter than a probe
    return replace(job, state=state, ended_at=at, applied=event.totals, budget=budget, finishing=False)


def _next_run(job: Job) -> Job:
    return replace(
        job, run=job.run + 1, epoch=job.epoch + 1, undo_input=Input(), lanes_done={}, lanes_rested={}, checking=False
    )


def _rested_totals(job: Job) -> LaneTotals:
    return sum((lane.totals for lane in job.lanes_rested.values()), LaneTotals())
