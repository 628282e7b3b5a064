"""A job's documents in an index of rows, in pages of limited size."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from elasticsearch import ApiError as ElasticsearchError
from elasticsearch import AsyncElasticsearch, NotFoundError, TransportError

from api.errors import unavailable
from api.web.answer_limit import AnswerTooLongError

Hits = list[dict[str, Any]]
Clause = dict[str, Any]

PAGE_BYTES: Final = 1024 * 1024
"""A page ends with the row with which its values exceed this."""
_FIRST_ROWS: Final = 25
_MOST_ROWS: Final = 2000
_GROWTH: Final = 4


async def row_pages(
    client: AsyncElasticsearch,
    index: str,
    job_id: str,
    after: int | None = None,
    limit: int | None = None,
    only: Sequence[Clause] = (),
) -> AsyncGenerator[tuple[Hits, int], None]:
    """Pages of a job's documents with a row number above `after`, by row number; and how many documents there are.
    `only`: clauses of Elasticsearch that they have to fit as well.

    The number of rows in a request depends on the length of the rows before: a row may have any length.
    `limit`: rows of all pages together. There is always a first page; it may be empty.

    Raises:
        ApiError: 503, Elasticsearch does not answer.
    """
    left = _MOST_ROWS if limit is None else limit
    size = min(_FIRST_ROWS, left)
    total, fresh = -1, False
    while True:
        try:
            hits, found = await rows_of(client, index, job_id, size, after, count=total < 0, fresh=fresh, only=only)
        except AnswerTooLongError as error:
            if size == 1:
                raise unavailable(f"row {(after or 0) + 1} or one after it is too long to be shown") from error
            size, fresh = max(1, size // _GROWTH), True
            continue
        total = found if total < 0 else total
        yield hits, total
        if limit is not None:
            left -= len(hits)
        if len(hits) < size or not left:
            return
        after = hits[-1]["_source"]["row"]
        each = 1 + sum(map(length, hits)) // len(hits)
        size = max(1, min(left, _GROWTH * size, PAGE_BYTES // each, _MOST_ROWS))


def length(hit: dict[str, Any]) -> int:
    """Characters of a row's values."""
    source = hit["_source"]
    values = source["values"] if "values" in source else source.get("document", {}).values()
    if "after" in source:
        values = [*source["before"].values(), *source["after"].values()]
    return sum(len(value) if isinstance(value, str) else 8 for value in values or ())


async def rows_of(
    client: AsyncElasticsearch,
    index: str,
    job_id: str,
    size: int,
    after: int | None,
    count: bool = False,
    source: bool = True,
    fresh: bool = False,
    only: Sequence[Clause] = (),
) -> tuple[Hits, int]:
    """A page of a job's documents in an index that has one a row, by row number, and how many there are (if `count`).

    `fresh`: the index has just been refreshed. `only`: as in `row_pages`.

    Raises:
        ApiError: 503, Elasticsearch does not answer.
        AnswerTooLongError: the rows together are too long.
    """
    try:
        if after is None and not fresh:
            # The index refreshes every few seconds; a caller that asks right after a job's end wants all its rows.
            await client.indices.refresh(index=index, ignore_unavailable=True)
        answer = await client.search(
            index=index,
            query=_query(job_id, only),
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
        raise unavailable(no_answer("row errors are kept in Elasticsearch", error)) from error
    hits = answer["hits"]
    return list(hits["hits"]), int(hits["total"]["value"]) if count else 0


def no_answer(what: str, error: Exception) -> str:
    """The words of a refusal, as Elasticsearch did not answer; `what` is kept where."""
    return (
        f"{what}, which does not answer ({type(error).__name__}); "
        f"jobs go on meanwhile: check `sluice status` and try again"
    )


def _query(job_id: str, only: Sequence[Clause]) -> Clause:
    of_job: Clause = {"term": {"job_id": job_id}}
    return {"bool": {"filter": [of_job, *only]}} if only else of_job
