"""Row errors of a job, from the index ``errors``: a page of them, or all of them as a CSV file to correct and send."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any

from elasticsearch import ApiError as ElasticsearchError
from elasticsearch import AsyncElasticsearch, NotFoundError, TransportError

from api.errors import unavailable
from api.models import RowErrorPage, RowErrorView
from schemas.datasets import ERROR_COLUMNS
from schemas.formulas import guard, unguard

_CSV_PAGE = 2000
_NUMBERS_PAGE = 10_000


async def error_page(
    client: AsyncElasticsearch, index: str, job_id: str, limit: int, after: int | None
) -> RowErrorPage:
    """Row errors with a row number above `after`, by row number.

    Raises:
        ApiError: 503, Elasticsearch does not answer.
    """
    hits, total = await rows_of(client, index, job_id, limit, after, count=True)
    errors = [row_error(hit["_source"]) for hit in hits]
    return RowErrorPage(
        job_id=job_id, total=total, errors=errors, next=errors[-1].row if len(errors) == limit else None
    )


async def csv_pages(
    client: AsyncElasticsearch, index: str, job_id: str, columns: Sequence[str], raw: bool = False
) -> AsyncIterator[bytes]:
    """All row errors as CSV, a page at a time: the file's own columns in its order, then `ERROR_COLUMNS`.

    The corrected file can be sent as it is: an upload passes over the columns that were added. Cells that a spreadsheet
    would run as a formula are guarded, unless the job takes values `raw`: then they are exactly as they were in the
    file. `columns` are for the header of a job without row errors.

    Raises:
        ApiError: 503, Elasticsearch does not answer.
    """
    hits, _ = await rows_of(client, index, job_id, _CSV_PAGE, None)
    named = hits[0]["_source"].get("columns", []) if hits else columns
    # The file may be an errors.csv itself: what it said of its rows is not true of them any more.
    columns = [name for name in named if name not in ERROR_COLUMNS]
    yield csv_lines([[*columns, *ERROR_COLUMNS]])
    while hits:
        documents = [hit["_source"] for hit in hits]
        yield csv_lines([csv_row(document, columns, raw) for document in documents])
        hits, _ = await rows_of(client, index, job_id, _CSV_PAGE, int(documents[-1]["row"]))


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
    """One line of the CSV. What a row has beyond its columns comes after the reason, so that nothing is lost.

    Unless `raw`, each cell is guarded once: a value that carries the apostrophe already keeps the one it has.
    """
    error = row_error(document)
    values = [unguard(value) for value in error.values] if document.get("guarded") and not raw else error.values
    named, surplus = dict(zip(error.columns, values, strict=False)), values[len(error.columns) :]
    own = [named.get(column, "") for column in columns]
    cells = [*own, str(error.row), str(error.line or ""), error.column or "", error.reason, *surplus]
    return cells if raw else [guard(cell) for cell in cells]


def csv_lines(rows: Sequence[Sequence[str]]) -> bytes:
    """Rows as CSV, UTF-8."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode(errors="replace")


async def error_numbers(client: AsyncElasticsearch, index: str, job_id: str) -> AsyncIterator[list[int]]:
    """The numbers of all rows that are row errors, in order, a page at a time. Raises as `rows_of`."""
    after: int | None = None
    while hits := (await rows_of(client, index, job_id, _NUMBERS_PAGE, after, source=False))[0]:
        numbers = [int(hit["sort"][0]) for hit in hits]
        yield numbers
        after = numbers[-1]


async def rows_of(
    client: AsyncElasticsearch,
    index: str,
    job_id: str,
    size: int,
    after: int | None,
    count: bool = False,
    source: bool = True,
) -> tuple[list[dict[str, Any]], int]:
    """A page of a job's documents in an index that has one a row, by row number, and how many there are (if `count`).

    Raises:
        ApiError: 503, Elasticsearch does not answer.
    """
    try:
        if after is None:
            # The index is refreshed every few seconds; whoever asks right after the end wants all of them.
            await client.indices.refresh(index=index, ignore_unavailable=True)
        answer = await client.search(
            index=index,
            query={"term": {"job_id": job_id}},
            sort=[{"row": "asc"}],
            size=size,
            search_after=None if after is None else [after],
            track_total_hits=count,
            source=source,
            ignore_unavailable=True,
        )
    except NotFoundError:
        return [], 0
    except (TransportError, ElasticsearchError) as error:
        raise unavailable(
            f"row errors are kept in Elasticsearch, which does not answer ({type(error).__name__}); "
            f"jobs go on without it being asked: check `sluice status` and try again"
        ) from error
    hits = answer["hits"]
    return list(hits["hits"]), int(hits["total"]["value"]) if count else 0
