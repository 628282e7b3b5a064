"""What a dry run would change: counts, the first changes, a page of them, or all of them as CSV."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from api.errors import ApiError, require_kept
from api.jobs.reading.row_errors import csv_lines
from api.jobs.reading.row_pages import row_page, row_pages
from api.models.reports import ChangePage, Changes, ChangeView
from api.readmodel.totals import applied_totals
from api.web.services import Services
from schemas.descriptors.formulas import guard
from schemas.indices import index_name
from schemas.job import Job

SHOWN: Final = 50
"""Changes in a preview, at most."""
_MOST_COLUMNS: Final = 1000
_WHAT: Final = "changes are"


async def changes_of(services: Services, job: Job) -> Changes | None:
    """What a dry run would change so far; None: its dataset's key does not reach further than the job.

    Raises:
        ApiError: 503, Elasticsearch does not answer.
    """
    if job.mode is None:
        return None
    totals = applied_totals(job, services.view.lanes(job.id))
    page = await change_page(services, job, SHOWN, None)
    return Changes(
        new=totals.rows_created,
        updated=totals.rows_updated,
        unchanged=totals.rows_unchanged,
        deleted=totals.rows_deleted,
        conflicting=totals.rows_conflicting,
        missing=totals.rows_missing,
        columns=await _columns(services, job),
        first=page.changes,
    )


async def change_page(services: Services, job: Job, limit: int, after: int | None) -> ChangePage:
    """Changes of rows above `after`, by row: `limit` of them, fewer if their values are long.

    Raises:
        ApiError: 404, the job is no dry run, or its changes were removed; 503, Elasticsearch does not answer.
    """
    _require_changes(job)
    hits, total, more = await row_page(services.documents, _WHAT, _index(services), job.id, after, limit)
    changes = [_change(hit["_source"]) for hit in hits]
    return ChangePage(job_id=job.id, total=total, changes=changes, next=changes[-1].row if more else None)


async def changes_csv(services: Services, job: Job) -> AsyncIterator[bytes]:
    """All changes, a line for each value: row, change, the key's fields, field, value before, value after.

    Raises:
        ApiError: 404, the job is no dry run, or its changes were removed; 503, Elasticsearch does not answer.
    """
    _require_changes(job)
    dataset = services.catalog.datasets.get(job.dataset)
    key = list(dataset.primary_key) if dataset else []
    begun = False
    async for hits, _ in row_pages(services.documents, _WHAT, _index(services), job.id):
        lines = [] if begun else [["sluice_row", "change", *key, "column", "before", "after"]]
        begun = True
        for hit in hits:
            lines += _lines(_change(hit["_source"]), job.options.raw)
        yield csv_lines(lines)


def _lines(change: ChangeView, raw: bool) -> list[list[str]]:
    cells = [
        [str(change.row), change.kind, *change.key, name, _text(change.before.get(name)), _text(change.after.get(name))]
        for name in {**change.before, **change.after}
    ]
    return cells if raw else [[guard(cell) for cell in line] for line in cells]


def _text(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _change(document: dict[str, Any]) -> ChangeView:
    names = ("row", "kind", "key", "before", "after")
    return ChangeView(**{name: document[name] for name in names})


def _require_changes(job: Job) -> None:
    if not job.options.dry_run:
        text = f"job {job.id} is no dry run: its counts say what it has done, and its rollback lists what was undone"
        raise ApiError(404, text, {"state": job.state})
    require_kept(job, "changes")


async def _columns(services: Services, job: Job) -> dict[str, int]:
    """Field -> how many documents would have another value in it."""
    body = {
        "query": {"term": {"job_id": job.id}},
        "size": 0,
        "aggs": {"columns": {"terms": {"field": "columns", "size": _MOST_COLUMNS}}},
    }
    answer = await services.documents.search(_WHAT, _index(services), body)
    buckets = answer["aggregations"]["columns"]["buckets"] if answer and "aggregations" in answer else []
    return {bucket["key"]: int(bucket["doc_count"]) for bucket in buckets}


def _index(services: Services) -> str:
    return index_name(services.settings.prefix, "changes")
