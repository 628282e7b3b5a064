"""Totals of a job, of what its lanes report. Pure."""

from __future__ import annotations

from schemas.job import Job, LaneTotals


def settled(job: Job, run: LaneTotals) -> LaneTotals:
    """Totals of the apply phase when its lanes have stopped; `run` are the totals of the lanes in their current run."""
    if job.applied is None:
        return run
    return job.applied.corrected(run) if job.retrying else job.applied


def summed(job: Job) -> LaneTotals:
    """Totals of the lanes that are done, in their current run."""
    return sum(job.lanes_done.values(), LaneTotals())
