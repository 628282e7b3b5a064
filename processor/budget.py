"""When a job has too many row errors to go on by itself."""

from __future__ import annotations

from schemas.job import Job, LaneTotals

JUDGED_FROM_ROWS = 1000
"""A percentage means nothing before so many rows."""


def overspent(job: Job, totals: LaneTotals) -> str | None:
    """Why the job should pause itself, in words; None: it may go on.

    `totals` is the sum over the lanes that this worker knows. With several workers each judges its own share, so that
    a limit given as a number is met by the first of them that passes it alone.
    """
    limit = job.options.max_errors
    if limit is None or job.budget != "open":
        return None
    done = totals.rows_applied + totals.rows_failed
    if isinstance(limit, str):
        allowed = float(limit.removesuffix("%"))
        if done < JUDGED_FROM_ROWS or totals.rows_failed * 100 <= allowed * done:
            return None
    elif totals.rows_failed <= limit:
        return None
    return (
        f"{totals.rows_failed:,} of the first {done:,} rows have errors, more than max_errors={limit} allows: "
        f"look at them (`sluice errors {job.id}`), then resume to go on all the same, or terminate"
    )
