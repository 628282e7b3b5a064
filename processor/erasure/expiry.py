"""When what a store has of a job is kept no longer. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from schemas.job import ENDED, Job
from schemas.policies.retention import RetentionBook, StoreName
from schemas.topics import DAY_MS


@dataclass(frozen=True, slots=True)
class Expiry:
    """Compares times with the retentions."""

    retentions: RetentionBook
    now_ms: Callable[[], int]

    def has_passed(self, store: StoreName, job: Job) -> bool:
        """Whether a job ended longer ago than this store keeps what it has of the job."""
        if job.state not in ENDED or job.purging or job.ended_at is None:
            return False
        return self.now_ms() - job.ended_at > self.retentions.days(store, job.dataset) * DAY_MS

    def oldest(self, store: StoreName) -> int | None:
        """What jobs have left that are in the control table no more goes if it was made before this time, in
        milliseconds since 1970; None: it stays.
        """
        days = self.retentions.longest(store)
        return None if days == float("inf") else self.now_ms() - int(days * DAY_MS)
