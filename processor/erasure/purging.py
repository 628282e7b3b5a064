"""Removing all that holds values of one job."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from processor.elastic.bulk import Gate
from processor.erasure.base import Store
from processor.erasure.documents import Documents
from processor.errors import CannotGoOnError, FencedError
from runtime.telemetry.log_events import as_event
from schemas.bounds import MOST_REASON
from schemas.job import Job
from schemas.messages.commands import PurgeEnded
from schemas.policies.retention import StoreName

log = logging.getLogger(__name__)


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
            problems += await _problems(job, store.name, store.remove([job], gate))
        documents = [store for store in self.stores if isinstance(store, Documents)]
        expunged = (_problems(job, each.name, each.expunge(gate)) for each in documents)
        for found in await asyncio.gather(*expunged):
            problems += found
        problem = "; ".join(problems)[:MOST_REASON] or None
        return PurgeEnded(job_id=job.id, epoch=job.epoch, problem=problem)


async def _problems(job: Job, name: StoreName, step: Awaitable[None]) -> list[str]:
    """What keeps a store from being emptied; the next store has its turn whatever it is. Raises FencedError."""
    try:
        await step
    except FencedError:
        raise
    except CannotGoOnError as error:
        return [f"{name}: {error}"]
    except Exception as error:
        told = "job %s: a purge met an unexpected error in the store %s"
        log.exception(told, job.id, name, extra=as_event("purge.failed", job=job.id))
        return [f"{name}: a worker met an error that it is not made for: {error!r}; its log has more"]
    return []
