"""Totals of a job, of what its lanes report. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.job import Job, LaneTotals, State


def settled(job: Job, run: LaneTotals) -> LaneTotals:
    """Totals of the apply phase when its lanes have stopped; `run` are the totals of the lanes in their current run."""
    if job.applied is None:
        return run
    return job.applied.corrected(run) if job.retrying else job.applied


def summed(job: Job) -> LaneTotals:
    """Totals of the lanes that are done, in their current run."""
    return sum(job.lanes_done.values(), LaneTotals())


def undone_totals(job: Job, newest: Mapping[int, LaneTotals] | None = None) -> LaneTotals:
    """Totals of the rollback: the finished rounds, plus the lanes of the round that is under way, or was broken off.

    `newest`: what is known of these lanes besides what they have reported, by partition.
    """
    finished = job.undone or LaneTotals()
    if job.phase != "undo" or job.checking or job.state is State.ROLLED_BACK:
        return finished
    lanes = newer_totals(reported_totals(job), newest or {})
    return finished.another_round(sum(lanes.values(), LaneTotals()))


def reported_totals(job: Job) -> dict[int, LaneTotals]:
    """The totals that each lane has reported in its current run, by partition."""
    return newer_totals(job.lanes_done, {partition: lane.totals for partition, lane in job.lanes_rested.items()})


def newer_totals(one: Mapping[int, LaneTotals], other: Mapping[int, LaneTotals]) -> dict[int, LaneTotals]:
    """Totals are cumulative, so of two for the same partition the larger one is the newer one."""
    return {
        partition: max(one.get(partition, LaneTotals()), other.get(partition, LaneTotals()), key=dealt_with)
        for partition in {*one, *other}
    }


def dealt_with(totals: LaneTotals) -> int:
    """Rows that a lane has dealt with, in either phase."""
    return totals.rows_applied + totals.rows_failed + totals.rows_undone + totals.rows_kept + totals.rows_not_restored
