"""Where the documents of a trial are: in memory, or in a real Elasticsearch."""

from __future__ import annotations

from typing import Any, Protocol, cast

from elasticsearch import AsyncElasticsearch

from extensions.testing.memory import MemoryElasticsearch
from processor.elastic.documents import bulk_item
from runtime.datasets import load_datasets
from schemas.descriptors.datasets import Dataset
from schemas.indices import REPORT_MAPPINGS, data_index, data_mapping, index_name

Contents = dict[str, dict[str, dict[str, Any]]]
"""Name of an index without its prefix -> document id -> document; an index without documents is left out."""


class Store(Protocol):
    """The documents below one prefix."""

    prefix: str
    client: Any
    """An `AsyncElasticsearch`, or what takes its place."""

    async def contents(self) -> Contents:
        """Every document that is there now."""
        ...

    async def clear(self) -> None:
        """Take all documents out."""
        ...


class MemoryStore:
    """Documents in memory: nothing has to run."""

    prefix = "trial"

    def __init__(self, *datasets: Dataset) -> None:
        """The indices of these datasets, and of those that come with Sluice, have their mappings."""
        known = {**load_datasets(), **{dataset.name: dataset for dataset in datasets}}
        self._mappings = {data_index(self.prefix, name): data_mapping(dataset) for name, dataset in known.items()}
        self._mappings |= {index_name(self.prefix, name): mapping for name, mapping in REPORT_MAPPINGS.items()}
        self.client = MemoryElasticsearch(self._mappings)

    async def contents(self) -> Contents:
        """See Store."""
        return _by_name(self.prefix, self.client.contents())

    async def clear(self) -> None:
        """See Store."""
        self.client = MemoryElasticsearch(self._mappings)


class ServerStore:
    """Documents in an Elasticsearch that runs, below a prefix that nothing else uses."""

    def __init__(self, client: AsyncElasticsearch, prefix: str) -> None:
        """`prefix` is one that ``python -m runtime.provision`` has made the indices of."""
        self.client = client
        self.prefix = prefix
        self._ours = False

    async def contents(self) -> Contents:
        """See Store."""
        found: Contents = {}
        await self.client.indices.refresh(index=f"{self.prefix}-*")
        answer = await self.client.search(index=f"{self.prefix}-*", size=10_000)
        for hit in answer.body["hits"]["hits"]:
            found.setdefault(hit["_index"], {})[hit["_id"]] = hit["_source"]
        return _by_name(self.prefix, found)

    async def clear(self) -> None:
        """See Store.

        Raises:
            ValueError: someone else's documents are there.
        """
        there = await self.contents()
        if there and not self._ours:
            raise ValueError(f"there are documents in {self.prefix}-{min(there)}: give the trial a prefix of its own")
        self._ours = True
        lines = [
            bulk_item("delete", index_name(self.prefix, name), key)
            for name, documents in there.items()
            for key in documents
        ]
        if lines:
            await self.client.bulk(operations=cast(Any, b"\n".join(lines) + b"\n"))


def _by_name(prefix: str, found: Contents) -> Contents:
    return cast(
        Contents, {name.removeprefix(f"{prefix}-"): documents for name, documents in found.items() if documents}
    )
