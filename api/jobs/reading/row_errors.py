"""Row errors of a job, from the index ``errors``: a page of them, or all of them as a CSV file to correct and send."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any

from api.elastic.documents import Documents
from api.errors import ApiError
from api.jobs.reading.row_pages import WHAT, Clause, row_page, row_pages, row_query
from api.models.reports import RowErrorPage, RowErrorView
from csvfile.refused_rows import marked
from schemas.descriptors.datasets import ERROR_COLUMNS
from schemas.descriptors.formulas import guard, unguard
from schemas.indices import KEYWORD_CHARACTERS

_NUMBERS_PAGE = 10_000


async def error_page(
    documents: Documents, index: str, job_id: str, limit: int, after: int | None, like: int | None = None
) -> RowErrorPage:
    """Row errors with a row number above `after`, by row number: `limit` of them, fewer if their rows are long.

    `like`: only those with the column and the reason that this row has.

    Raises:
        ApiError: 503, Elasticsearch does not answer; 404, the row `like` is no row error (any more).
    """
    only = [] if like is None else await _same_reason(documents, index, job_id, like)
    hits, total, more = await row_page(documents, WHAT, index, job_id, after, limit, only)
    errors = [row_error(hit["_source"]) for hit in hits]
    return RowErrorPage(job_id=job_id, total=total, errors=errors, next=errors[-1].row if more else None)


async def _same_reason(documents: Documents, index: str, job_id: str, row: int) -> list[Clause]:
    """What row errors fit that have the column and the reason of this one. Raises as `error_page`."""
    body = {**row_query(job_id, [{"term": {"row": row}}]), "size": 1}
    found = await documents.search(WHAT, index, body, fresh=True)
    hits = found["hits"]["hits"] if found is not None else []
    if not hits:
        raise ApiError(404, f"row {row} is no row error of job {job_id} any more; list its row errors anew")
    error = row_error(hits[0]["_source"])
    return [_is("column", error.column), _is("reason", error.reason)]


def _is(field: str, value: str | None) -> Clause:
    """The clause of a field with this value; Elasticsearch does not index values beyond `ignore_above`."""
    if value is None or len(value) > KEYWORD_CHARACTERS:
        return {"bool": {"must_not": {"exists": {"field": field}}}}
    return {"term": {field: value}}


async def csv_pages(
    documents: Documents, index: str, job_id: str, columns: Sequence[str], raw: bool = False
) -> AsyncIterator[bytes]:
    """All row errors as CSV, a page at a time: the file's own columns in its order, then `ERROR_COLUMNS`.

    The corrected file can be sent as it is: an upload passes over the columns that were added. Cells that a spreadsheet
    would run as a formula are guarded, unless the job takes values `raw`: then they are exactly as they were in the
    file. `columns` are for the header of a job without row errors.

    Raises:
        ApiError: 503, Elasticsearch does not answer.
    """
    begun = False
    async for hits, _ in row_pages(documents, WHAT, index, job_id):
        if not begun:
            begun = True
            named = hits[0]["_source"].get("columns", []) if hits else columns
            # The file may be an errors.csv itself: its ERROR_COLUMNS are those of the earlier job.
            columns = [name for name in named if name not in ERROR_COLUMNS]
            yield csv_lines([[*columns, *ERROR_COLUMNS]])
        yield csv_lines([csv_row(hit["_source"], columns, raw) for hit in hits])


def row_error(document: dict[str, Any]) -> RowErrorView:
    """The error that a document of the index describes."""
    at = document.get("at")
    return RowErrorView(
        row=int(document["row"]),
        line=int(document.get("line") or 0),
        column=document.get("column"),
        value=document.get("value"),
        reason=str(document.get("reason", "")),
        columns=list(document.get("columns") or []),
        values=[str(value) for value in document.get("values") or []],
        at=None if at is None else str(at),
    )


def csv_row(document: dict[str, Any], columns: Sequence[str], raw: bool) -> list[str]:
    """One line of the CSV. Surplus values of a row come after the reason.

    Unless `raw`, each cell is guarded once: a value that has the apostrophe already gets no second one. The reason of a
    row that could not be read as values is `marked`.
    """
    error = row_error(document)
    values = [unguard(value) for value in error.values] if document.get("guarded") and not raw else error.values
    named, surplus = dict(zip(error.columns, values, strict=False)), values[len(error.columns) :]
    own = [named.get(column, "") for column in columns]
    reason = error.reason
    if document.get("misfit"):
        reason = marked(reason, dict(zip(columns, own, strict=True)))
    cells = [*own, str(error.row), str(error.line or ""), error.column or "", reason, *surplus]
    return cells if raw else [guard(cell) for cell in cells]


def csv_lines(rows: Sequence[Sequence[str]]) -> bytes:
    """Rows as CSV, UTF-8."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode(errors="replace")


async def error_numbers(documents: Documents, index: str, job_id: str) -> AsyncIterator[list[int]]:
    """The numbers of all rows that are row errors, in order, a page at a time. Raises ApiError 503."""
    body = {**row_query(job_id), "source": False}
    async for hits, _ in documents.pages(WHAT, index, body, first=_NUMBERS_PAGE, most=_NUMBERS_PAGE, fresh=True):
        yield [int(hit["sort"][0]) for hit in hits]
