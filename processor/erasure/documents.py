"""Documents of jobs in the indices of row errors and previews: deleted, and expunged from the index's files."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from processor.elastic.bulk import BulkSink, Gate
from processor.elastic.deleting import delete_found
from runtime.clock import Clock
from runtime.telemetry.log_events import as_event
from schemas.job import Job
from schemas.policies.retention import StoreName

log = logging.getLogger(__name__)

_MERGE_SECONDS: Final = 600.0
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
    merging: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while Elasticsearch writes an index's files anew, which may take minutes: such requests take no slot from
    those of other jobs, and of the connections one at most."""

    def has(self, job: Job) -> bool:
        """See Store."""
        return self.holds(job)

    async def remove(self, jobs: Sequence[Job], gate: Gate) -> None:
        """See Store."""
        for job in jobs:
            await delete_found(self.sink, self.index, {"term": {"job_id": job.id}}, gate)

    async def expunge(self, gate: Gate) -> None:
        """Have Elasticsearch write the index's files anew without the documents that are deleted.

        Waits for that, for two minutes at most; after that Elasticsearch's own merges do it.
        """
        client, index = self.sink.client, self.index
        there = await self.sink.ask(lambda: client.indices.get(index=index, ignore_unavailable=True), gate)
        if not there.body:
            return
        every: dict[str, Any] = {"index.merge.policy.expunge_deletes_allowed": 0}
        await self.sink.ask(lambda: client.indices.put_settings(index=index, settings=every), gate, writes=True)
        for _ in range(_EXPUNGE_TRIES):
            await self.sink.ask(lambda: client.indices.flush(index=index, force=True), gate)
            await self.sink.ask(partial(self._merge, gate), gate, little=True)
            await self.sink.ask(lambda: client.indices.flush(index=index, force=True), gate)
            stats = await self.sink.ask(lambda: client.indices.stats(index=index, metric="docs"), gate)
            if not stats.body["_all"]["total"]["docs"].get("deleted"):
                return
            await self.clock.sleep(_EXPUNGE_SECONDS)
        text = "documents deleted from %s are still in its files; Elasticsearch removes them as it merges"
        log.warning(text, index, extra=as_event("store.trouble"))

    async def _merge(self, gate: Gate) -> None:
        async with self.merging:
            gate()
            client = self.sink.client.options(request_timeout=_MERGE_SECONDS)
            await client.indices.forcemerge(index=self.index, only_expunge_deletes=True)
