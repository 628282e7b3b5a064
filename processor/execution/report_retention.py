"""Deletes old reports from Elasticsearch: progress and row errors of jobs that have left the control table."""

from __future__ import annotations

from typing import Final

from control.jobtable import JobTable
from processor.elastic.bulk import BulkSink, Gate
from processor.elastic.orphans import delete_orphans
from schemas.indices import index_name
from schemas.topics import DAY_MS

REPORTS: Final = ("progress", "errors")


async def delete_old_reports(sink: BulkSink, prefix: str, jobs: JobTable, days: float, now_ms: int, gate: Gate) -> int:
    """Delete reports older than `days`; returns how many documents. Raises as `delete_orphans`."""
    before = int(now_ms - days * DAY_MS)
    return sum([await delete_orphans(sink, index_name(prefix, name), jobs, gate, before) for name in REPORTS])
