"""Whether a job has too many row errors to go on by itself: first a probe of its first rows, then the job as a whole.

A job with `max_errors` begins as ``probing``: its workers apply the blocks that begin within the first rows, and hold
back the others on every lane. They report their counts. Once the counts cover the first rows, the job is ``open``, or
has paused itself. So a file that is wrong throughout is stopped there, even if many workers are idle.
"""

from __future__ import annotations

from schemas.job import Job, LaneTotals

PROBE_ROWS = 1000
"""Rows of the probe. A percentage of fewer rows means nothing."""


def watched(job: Job) -> bool:
    """Whether the job's row errors are held against a limit."""
    return job.options.max_errors is not None and job.phase == "apply" and job.budget in ("probing", "open")


def probe_rows(job: Job) -> int | None:
    """Blocks that begin behind this many rows must not be applied yet; None: any block may be."""
    return PROBE_ROWS if job.budget == "probing" and watched(job) else None


def reported_counts(job: Job) -> LaneTotals:
    """What the job's workers have reported so far, in all."""
    return sum(job.lanes_counted.values(), LaneTotals())


def probed(job: Job) -> bool:
    """Whether the first rows have been dealt with."""
    return job.budget == "probing" and _rows(reported_counts(job)) >= PROBE_ROWS


def overspent(job: Job, totals: LaneTotals) -> str | None:
    """Why the job should pause itself with these totals, in words; None: they are within its limit."""
    limit, failed, rows = job.options.max_errors, totals.rows_failed, _rows(totals)
    if limit is None:
        return None
    if isinstance(limit, str):
        if rows < PROBE_ROWS or failed * 100 <= float(limit.removesuffix("%")) * rows:
            return None
    elif failed <= limit:
        return None
    return (
        f"{failed:,} of the first {rows:,} rows have errors, more than max_errors={limit} allows: "
        f"look at them (`sluice errors {job.id}`), then resume to go on all the same, or terminate"
    )


def _rows(totals: LaneTotals) -> int:
    return totals.rows_applied + totals.rows_failed
