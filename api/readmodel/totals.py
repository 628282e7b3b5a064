"""A job's row counts, from its state and its lanes: of each count the newer one. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from api.readmodel.seen import LaneState
from control.machine import totals
from control.machine.totals import newer_totals, reported_totals
from schemas.job import Job, LaneTotals


def applied_totals(job: Job, lanes: Iterable[LaneState]) -> LaneTotals:
    """Totals of the apply phase: the job's own once they stand in its state, before that the sum over its lanes."""
    if job.applied is not None:
        return job.applied.corrected(retried_totals(job, lanes)) if job.retrying else job.applied
    reported = reported_totals(job) if job.phase == "apply" else {}
    newest = {lane.partition: lane.totals for lane in lanes if lane.phase == "apply"}
    return sum(newer_totals(reported, newest).values(), LaneTotals())


def retried_totals(job: Job, lanes: Iterable[LaneState]) -> LaneTotals:
    """Totals of the retry that is running."""
    newest = {lane.partition: lane.totals for lane in lanes if lane.phase == "apply" and lane.run == job.run}
    return sum(newer_totals(reported_totals(job), newest).values(), LaneTotals())


def undone_totals(job: Job, lanes: Iterable[LaneState]) -> LaneTotals:
    """Totals of the rollback: the finished rounds, plus the lanes of the round that is running."""
    return totals.undone_totals(
        job, {lane.partition: lane.totals for lane in lanes if lane.phase == "undo" and lane.run == job.run}
    )


@dataclass(frozen=True, slots=True)
class Pending:
    """What is still to be done in the run that a job is in."""

    rows: int
    blocks: int


def pending(job: Job, lanes: Iterable[LaneState]) -> Pending:
    """Rows of the input, as far as they are known, and blocks in Kafka, that have not been dealt with yet."""
    newest = {lane.partition: lane.totals for lane in lanes if lane.phase == job.phase and lane.run == job.run}
    done = sum(newer_totals(reported_totals(job), newest).values(), LaneTotals())
    published = job.current_input
    if job.phase == "undo":
        rows = 0 if job.checking else max(0, job.undo_rows - done.rows_undone)
    else:
        total = published.rows if published.ended or job.run else job.rows_total
        rows = max(0, (published.rows if total is None else total) - done.rows_applied - done.rows_failed)
    return Pending(rows, max(0, published.blocks - done.blocks))
