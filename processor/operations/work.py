"""What an operation is given to work with, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from processor.elastic.bulk import BulkSink, Gate
from processor.errors import CannotGoOnError
from processor.outcome import Outcome
from schemas.datasets import Dataset
from schemas.job import Job
from schemas.progress import RowError


@dataclass(frozen=True, slots=True)
class Work:
    """What an operation is given beside its blocks."""

    job: Job
    dataset: Dataset
    prefix: str
    """First part of every index's name."""
    sink: BulkSink
    gate: Gate
    """To be called right before anything is written; it raises FencedError when the work is void."""
    at: int
    """Milliseconds since 1970, for what is recorded."""
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    """To be held while a request is made from blocks: the first of several goes out before the next is begun."""

    async def find(self, index: str, *filters: dict[str, Any]) -> list[dict[str, Any]]:
        """Documents of `index` that pass all `filters` now, 10,000 at most; of an index that is not there, none."""
        client, query = self.sink.client, {"bool": {"filter": list(filters)}}
        await self.sink.ask(lambda: client.indices.refresh(index=index, ignore_unavailable=True), self.gate)
        answer = await self.sink.ask(
            lambda: client.search(index=index, query=query, size=10_000, ignore_unavailable=True), self.gate
        )
        hits: list[dict[str, Any]] = answer.body["hits"]["hits"]
        return hits

    async def send(self, items: Sequence[bytes], excused: int | None = None) -> None:
        """Have bulk items carried out, each as `bulk_item` makes them; a refusal with the status `excused` is fine.

        Raises:
            CannotGoOnError: an item was refused otherwise.
        """
        for answer in await self.sink.send(items, self.gate):
            if not answer.ok and answer.status != excused:
                raise CannotGoOnError(f"Elasticsearch refuses a change: {answer.error}")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of some blocks: an outcome each, in order, and all the rows that were not applied."""

    outcomes: list[Outcome]
    errors: list[RowError] = field(default_factory=list)
