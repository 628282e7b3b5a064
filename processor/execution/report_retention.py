"""Deletes old reports from Elasticsearch: progress and row errors of jobs that have left the control table."""

from __future__ import annotations

from typing import Any, Final

from control.jobtable import JobTable
from processor.elastic.bulk import BulkSink, Gate
from processor.elastic.deleting import delete_found
from schemas.indices import index_name
from schemas.topics import DAY_MS

MOST_PAGES: Final = 50
"""Pages that are deleted at a time, at most; the rest follows an hour later."""
REPORTS: Final = ("progress", "errors")
_MOST_TERMS: Final = 10_000


async def delete_old_reports(sink: BulkSink, prefix: str, jobs: JobTable, days: float, now_ms: int, gate: Gate) -> int:
    """Delete reports older than `days`; returns how many documents. Raises as `delete_found`."""
    before = int(now_ms - days * DAY_MS)
    # A document is younger than its job: those of a job made later can't be old.
    kept = [job.id for job in jobs if job.created_at <= before]
    if len(kept) > _MOST_TERMS:
        return 0  # so many old jobs are in the table that they can't be named in a query
    query: dict[str, Any] = {
        "bool": {
            "filter": [{"range": {"at": {"lt": before, "format": "epoch_millis"}}}],
            "must_not": [{"terms": {"job_id": kept}}],
        }
    }
    found = [await delete_found(sink, index_name(prefix, name), query, gate, MOST_PAGES) for name in REPORTS]
    return sum(found)
