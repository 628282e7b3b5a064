"""What a store of values is: a place that holds some of a job, and that can be made to hold none of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from processor.elastic.bulk import Gate
from schemas.job import Job
from schemas.policies.retention import StoreName


class Store(Protocol):
    """Removing is idempotent: what is gone is no problem, and what a crash has left is removed the next time."""

    @property
    def name(self) -> StoreName:
        """The store's name in the retentions."""

    def has(self, job: Job) -> bool:
        """Whether it may hold something of a job of this kind, as far as the job's state tells."""

    async def remove(self, jobs: Sequence[Job], gate: Gate) -> None:
        """Remove what it holds of these jobs, which are over; `gate` is asked before anything is removed.

        Raises:
            CannotGoOnError: something can't be removed now; the message says why.
            FencedError: from `gate`.
        """
