"""Removing all that holds values of one job."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from processor.elastic.bulk import Gate
from processor.erasure.base import Store
from processor.erasure.documents import Documents
from processor.errors import CannotGoOnError
from schemas.bounds import MOST_REASON
from schemas.job import Job
from schemas.messages.commands import PurgeEnded


@dataclass(frozen=True, slots=True)
class Purging:
    """Empties every store of a job that is purged. A purge may begin again at any time: each step finds what is
    left."""

    stores: Sequence[Store]

    async def purge(self, job: Job, gate: Gate) -> PurgeEnded:
        """Empty every store of the job; what can't be emptied is told in the report. Raises FencedError."""
        problems = []
        # Whatever the state says of the job: a request that failed, or an older version, may have left something.
        for store in self.stores:
            problems += await self._problems(store.name, store.remove([job], gate))
        documents = [store for store in self.stores if isinstance(store, Documents)]
        for found in await asyncio.gather(*(self._problems(each.name, each.expunge(gate)) for each in documents)):
            problems += found
        problem = "; ".join(problems)[:MOST_REASON] or None
        return PurgeEnded(job_id=job.id, epoch=job.epoch, problem=problem)

    async def _problems(self, name: str, step: Awaitable[None]) -> list[str]:
        try:
            await step
        except CannotGoOnError as error:
            return [f"{name}: {error}"]
        return []
