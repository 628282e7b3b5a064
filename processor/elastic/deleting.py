"""Deleting what a query finds. Not every Elasticsearch has a deletion by query, so the ids are listed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final

from processor.elastic.bulk import BulkSink, Gate
from processor.elastic.documents import bulk_item
from processor.elastic.reading import find
from processor.errors import CannotGoOnError

PAGE: Final = 2000


async def delete_found(
    sink: BulkSink, index: str, query: Mapping[str, Any], gate: Gate, most_pages: int | None = None
) -> int:
    """Delete what a query finds, `PAGE` documents in a bulk request; answers how many.

    An index that is not there has none. `most_pages`: no more requests than this; None: until nothing is found.

    Raises:
        CannotGoOnError: Elasticsearch refuses a deletion. Also raises as `BulkSink.ask`.
    """
    client, deleted = sink.client, 0
    for _ in itertools.repeat(None) if most_pages is None else range(most_pages):
        await sink.ask(lambda: client.indices.refresh(index=index, ignore_unavailable=True), gate)
        hits = await find(sink, gate, index, query, PAGE, source=False, track_total_hits=False)
        if not hits:
            break
        for outcome in await sink.send([bulk_item("delete", hit.index, hit.id) for hit in hits], gate):
            if not outcome.ok and outcome.status != 404:
                raise CannotGoOnError(f"Elasticsearch refuses a deletion: {outcome.error}")
        deleted += len(hits)
    return deleted
