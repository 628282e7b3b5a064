"""The events that follow from a job's state by themselves, without a command of their own. Pure."""

from __future__ import annotations

from control.budget import overspent, probed, reported_counts, watched
from control.creation.admission import makes_file
from control.creation.inspection import awaits_inspection
from control.machine.context import Context
from control.machine.totals import settled, summed
from control.predicates import pausing
from schemas.job import Job, LaneTotals, State
from schemas.messages.events import (
    Completed,
    Event,
    FileBegun,
    Paused,
    PauseRequested,
    ProbePassed,
    RollbackStarted,
    RolledBack,
    Terminated,
    UndoFinished,
)

S = State


def consequences(job: Job, context: Context) -> tuple[Event, ...]:
    """The events that follow from the job's state: its lanes have stopped or are done, or it has too many errors."""
    if pausing(job) and all_rested(job):
        return (Paused(),)
    if job.state is S.TERMINATING and all_rested(job):
        return (Terminated(),) if job.keep_rows else rollback(job, context, job.force)
    if job.state is S.RUNNING and job.inspection == "suspicious":
        return (PauseRequested(suspected=True),)
    if job.state is S.RUNNING and watched(job) and overspent(job, reported_counts(job)):
        return (PauseRequested(budget_spent=True),)
    progress = job.current_input
    done = progress.ended and all(
        partition in job.lanes_done for partition, blocks in enumerate(progress.blocks_per_partition) if blocks
    )
    if job.state is S.RUNNING and done and not job.finishing:
        totals = settled(job, summed(job))
        return (FileBegun(totals),) if makes_file(job.operation, context.catalog) else (Completed(totals),)
    if job.state is S.ROLLING_BACK and done and not job.checking and not job.halting:
        return (UndoFinished(summed(job)),)
    return (ProbePassed(),) if job.state is S.RUNNING and probed(job) else ()


def rollback(job: Job, context: Context, force: bool = False) -> tuple[Event, ...]:
    """The events with which the rollback of a job begins, or begins anew, once its lanes have stopped; `force` as in
    `RollbackJob`."""
    last_row = max((job.undo_rows, *(lane.totals.last_row for lane in job.lanes_rested.values())))
    if job.applied is not None:
        last_row = max(last_row, job.applied.last_row)
    if last_row and not makes_file(job.operation, context.catalog):
        return (RollbackStarted(last_row, force),)
    if job.started_at is None or awaits_inspection(job):  # it has not been allowed to write a row
        return (RollbackStarted(0), RolledBack())
    # A worker removes the file of an export as a whole before it counts. Of the other jobs no lane has counted a row,
    # but a worker that died before its checkpoint may have written some: a worker counts them.
    return (RollbackStarted(0), UndoFinished(LaneTotals()))


def all_rested(job: Job) -> bool:
    """Whether nothing of the job is in flight on any partition."""
    return all(partition in job.lanes_rested for partition in range(job.partitions))
