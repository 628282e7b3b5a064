"""Deletes old reports from Elasticsearch: progress, row errors and previews of jobs that have left the control table.

By their ids, in bulk requests: not every Elasticsearch has a deletion by query.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from control.jobtable import JobTable
from processor.elastic.bulk import BulkSink, Gate
from processor.elastic.documents import bulk_item
from schemas.indices import index_name
from schemas.topics import DAY_MS

PAGE: Final = 2000
MOST_PAGES: Final = 50
"""So many pages at a time, at most: the rest has its turn an hour later."""
REPORTS: Final = ("progress", "errors")
_MOST_TERMS: Final = 10_000


async def delete_old_reports(sink: BulkSink, prefix: str, jobs: JobTable, days: float, now_ms: int, gate: Gate) -> int:
    """Delete what is older than so many days; returns how many documents. Raises as `BulkSink.send`."""
    before = int(now_ms - days * DAY_MS)
    # A document is younger than its job: those of a job made later can't be old.
    kept = [job.id for job in jobs if job.created_at <= before]
    if len(kept) > _MOST_TERMS:
        return 0  # so many old jobs are in the table that they can't be named in a query
    deleted = 0
    for name in REPORTS:
        index = index_name(prefix, name)
        for _ in range(MOST_PAGES):
            ids = await _old(sink, index, before, kept, gate)
            if ids:
                await sink.send([bulk_item("delete", index, name) for name in ids], gate)
                deleted += len(ids)
            if len(ids) < PAGE:
                break
            await sink.ask(lambda index=index: sink.client.indices.refresh(index=index), gate)  # type: ignore[misc]
    return deleted


async def _old(sink: BulkSink, index: str, before: int, kept: Iterable[str], gate: Gate) -> list[str]:
    query: dict[str, Any] = {
        "bool": {
            "filter": [{"range": {"at": {"lt": before, "format": "epoch_millis"}}}],
            "must_not": [{"terms": {"job_id": list(kept)}}],
        }
    }
    answer = await sink.ask(
        lambda: sink.client.search(index=index, query=query, size=PAGE, source=False, ignore_unavailable=True), gate
    )
    return [hit["_id"] for hit in answer.body["hits"]["hits"]]
