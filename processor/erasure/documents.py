"""Documents of jobs in the indices of row errors and previews: deleted, and expunged from the index's files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from processor.elastic.bulk import BulkSink, Gate
from processor.errors import CannotGoOnError
from runtime.clock import Clock
from runtime.telemetry.log_events import as_event
from schemas.codec import encode
from schemas.job import Job
from schemas.retention import StoreName

log = logging.getLogger(__name__)

_BATCH: Final = 2000
_EXPUNGE_SECONDS: Final = 5.0
_EXPUNGE_TRIES: Final = 24
"""Elasticsearch keeps a deleted document until it has noted that all replicas know: it looks twice a minute."""


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of one index that carry a ``job_id``."""

    name: StoreName
    index: str
    sink: BulkSink
    clock: Clock
    holds: Callable[[Job], bool]

    def has(self, job: Job) -> bool:
        """See Store."""
        return self.holds(job)

    async def remove(self, jobs: Sequence[Job], gate: Gate) -> None:
        """See Store."""
        for job in jobs:
            await self.delete({"term": {"job_id": job.id}}, gate)

    async def delete(self, query: dict[str, Any], gate: Gate) -> int:
        """Delete what a query finds; returns how many. Elasticsearch may have no delete-by-query: ids are listed."""
        client, deleted = self.sink.client, 0
        while True:
            await self.sink.ask(lambda: client.indices.refresh(index=self.index, ignore_unavailable=True), gate)
            answer = await self.sink.ask(
                lambda: client.search(
                    index=self.index, query=query, size=_BATCH, source=False, ignore_unavailable=True,
                    track_total_hits=False, allow_partial_search_results=False,
                ),
                gate,
            )  # fmt: skip
            hits = answer.body["hits"]["hits"]
            if not hits:
                return deleted
            heads = [{"delete": {"_index": hit["_index"], "_id": hit["_id"]}} for hit in hits]
            for outcome in await self.sink.send([encode(head) for head in heads], gate):
                if not outcome.ok and outcome.status != 404:
                    raise CannotGoOnError(f"Elasticsearch refuses a deletion: {outcome.error}")
            deleted += len(hits)

    async def expunge(self, gate: Gate) -> None:
        """Have Elasticsearch write the index's files anew without the documents that are deleted.

        Waits until it has, for two minutes at most; after that it is Elasticsearch's own merges that do it.
        """
        client, index = self.sink.client, self.index
        there = await self.sink.ask(lambda: client.indices.get(index=index, ignore_unavailable=True), gate)
        if not there.body:
            return
        every: dict[str, Any] = {"index.merge.policy.expunge_deletes_allowed": 0}
        await self.sink.ask(lambda: client.indices.put_settings(index=index, settings=every), gate, writes=True)
        for _ in range(_EXPUNGE_TRIES):
            await self.sink.ask(lambda: client.indices.flush(index=index, force=True), gate)
            await self.sink.ask(
                lambda: client.options(request_timeout=600).indices.forcemerge(index=index, only_expunge_deletes=True),
                gate,
            )
            await self.sink.ask(lambda: client.indices.flush(index=index, force=True), gate)
            stats = await self.sink.ask(lambda: client.indices.stats(index=index, metric="docs"), gate)
            if not stats.body["_all"]["total"]["docs"].get("deleted"):
                return
            await self.clock.sleep(_EXPUNGE_SECONDS)
        text = "documents deleted from %s are still in its files; Elasticsearch removes them as it merges"
        log.warning(text, index, extra=as_event("store.trouble"))
