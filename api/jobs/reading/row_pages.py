"""A job's documents in an index of rows, in pages of limited size."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from api.elastic.documents import Documents, Hits

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
