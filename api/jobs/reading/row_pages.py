"""A job's documents in an index of rows, in pages of limited size."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final

from api.elastic.documents import PAGE_BYTES, Documents, Hits

Clause = dict[str, Any]

WHAT: Final = "row errors are"
"""What is kept in the index ``errors``, as `Documents` says it."""


def row_pages(
    documents: Documents,
    what: str,
    index: str,
    job_id: str,
    after: int | None = None,
    limit: int | None = None,
    only: Sequence[Clause] = (),
) -> AsyncGenerator[tuple[Hits, int], None]:
    """Pages of a job's documents with a row number above `after`, by row number; and how many documents there are.

    `only`: clauses of Elasticsearch that they have to fit as well. `what`, `limit`: as `Documents.pages` has them.

    Raises:
        ApiError: 503, Elasticsearch does not answer.
    """
    place = None if after is None else [after]
    # The index refreshes every few seconds; a caller that asks right after a job's end wants all its rows.
    return documents.pages(
        what, index, row_query(job_id, only), after=place, limit=limit, fresh=after is None, count=True
    )


async def row_page(
    documents: Documents,
    what: str,
    index: str,
    job_id: str,
    after: int | None,
    limit: int,
    only: Sequence[Clause] = (),
) -> tuple[Hits, int, bool]:
    """One page of them for a caller: `limit` documents, fewer if their values are long; how many there are in all; and
    whether any come behind it. Arguments and errors as `row_pages` has them.
    """
    shown: Hits = []
    total, room = 0, PAGE_BYTES
    async with aclosing(row_pages(documents, what, index, job_id, after, limit + 1, only)) as pages:
        async for hits, found in pages:
            total = found
            for hit in hits:
                if len(shown) == limit or room <= 0:
                    return shown, total, True
                shown.append(hit)
                room -= length(hit)
    return shown, total, False


def row_query(job_id: str, only: Sequence[Clause] = ()) -> dict[str, Any]:
    """A search for a job's documents in an index that has one a row, by row number. `only`: as in `row_pages`."""
    of_job: Clause = {"term": {"job_id": job_id}}
    return {"query": {"bool": {"filter": [of_job, *only]}} if only else of_job, "sort": [{"row": "asc"}]}


def length(hit: dict[str, Any]) -> int:
    """Characters of a row's values."""
    source = hit["_source"]
    values = source["values"] if "values" in source else source.get("document", {}).values()
    if "after" in source:
        values = [*source["before"].values(), *source["after"].values()]
    return sum(len(value) if isinstance(value, str) else 8 for value in values or ())
