"""Removing all that holds values of one job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from processor.elastic.bulk import Gate
from processor.erasure.base import Store
from processor.erasure.documents import Documents
from processor.errors import CannotGoOnError
from schemas.bounds import MOST_REASON
from schemas.commands import PurgeEnded
from schemas.job import Job


@dataclass(frozen=True, slots=True)
class Purging:
    """One worker's. It may begin again at any time: each step finds what is left."""

    stores: Sequence[Store]

    async def purge(self, job: Job, gate: Gate) -> PurgeEnded:
        """Empty every store of the job; what can't be emptied is told in the report. Raises FencedError."""
        problems = []
        for store in self.stores:
            try:
                # Whatever the state says: a request that failed, or an older version, may have left something.
                await store.remove([job], gate)
                if isinstance(store, Documents):
                    await store.expunge(gate)
            except CannotGoOnError as error:
                problems.append(f"{store.name}: {error}")
        problem = "; ".join(problems)[:MOST_REASON] or None
        return PurgeEnded(job_id=job.id, epoch=job.epoch, problem=problem)
