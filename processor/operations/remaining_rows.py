"""The count that ends a rollback, of documents that a job has made under ids of its own or under keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processor.elastic.reading import search
from processor.operations.work import Work

PAGE = 5000


async def under_row_numbers(work: Work, index: str) -> tuple[int, int]:
    """How many documents there are under the ids of the job's rows, and the highest of their row numbers.

    A copy that another program has made under another id has the job's mark as well. It is not counted: no undo takes
    it out. Raises as `BulkSink.ask`.
    """
    await _refresh(work, index)
    count = last = 0
    after: list[Any] | None = None
    while True:
        by_row = [{"sluice.row_number": "asc"}]
        hits = (await _search(work, index, _marked(work), size=PAGE, sort=by_row, search_after=after))["hits"]["hits"]
        # Documents of one row may be on two pages, of which the second leaves them out: its id is asked for instead.
        rows = {f"{work.job.id}:{row}": int(row) for row in {hit["sort"][0] for hit in hits}}
        if rows:
            found = await _search(work, index, {"ids": {"values": list(rows)}}, size=PAGE)
            own = [rows[hit["_id"]] for hit in found["hits"]["hits"]]
            count, last = count + len(own), max(last, *own, 0)
        if len(hits) < PAGE:
            return count, last
        after = hits[-1]["sort"]


async def under_keys(work: Work, index: str) -> tuple[int, int]:
    """How many documents have the job's mark, and the highest of their row numbers: an undo takes out all of them.

    Raises as `BulkSink.ask`.
    """
    await _refresh(work, index)
    highest = {"last": {"max": {"field": "sluice.row_number"}}}
    found = await _search(work, index, _marked(work), size=0, track_total_hits=True, aggs=highest)
    return int(found["hits"]["total"]["value"]), int(found["aggregations"]["last"]["value"] or 0)


def _marked(work: Work) -> dict[str, Any]:
    """Documents with the job's mark. Rows are counted from 1 on: no undo looks for other numbers, or for none."""
    numbered = {"range": {"sluice.row_number": {"gte": 1}}}
    return {"bool": {"filter": [{"term": {"sluice.job_id": work.job.id}}, numbered]}}


async def _refresh(work: Work, index: str) -> None:
    client = work.sink.client
    await work.sink.ask(lambda: client.indices.refresh(index=index), work.gate)


async def _search(work: Work, index: str, query: Mapping[str, Any], **more: Any) -> Any:
    return await search(work.sink, work.gate, index, source=False, query=query, **more)
