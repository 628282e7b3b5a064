"""Whose turn it is: start-time fair queueing by rows, over organisations with weights and over the jobs of each; and a
token bucket for a job with a rate.

A job's virtual time is the rows it has been given. The job with the least goes next; one that comes back from idleness
starts at the least of those at work, so that it neither pays for the past nor makes the others wait for it.
Goyal, Vin, Cheng: Start-time Fair Queueing (SIGCOMM 1996).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


class FairTurns:
    """Shares in rows, over any number of jobs."""

    def __init__(self) -> None:
        self._given: dict[str, float] = {}
        self._floor = 0.0

    def next(self, waiting: Collection[str]) -> str | None:
        """The job whose turn it is, among those that have work; None: none has."""
        if not waiting:
            return None
        chosen = min(waiting, key=lambda job_id: (max(self._given.get(job_id, 0.0), self._floor), job_id))
        self._floor = max(self._floor, self._given.get(chosen, 0.0))
        return chosen

    def charge(self, job_id: str, rows: float) -> None:
        """Note that `job_id` has been given `rows` rows."""
        self._given[job_id] = max(self._given.get(job_id, 0.0), self._floor) + rows

    def forget(self, job_id: str) -> None:
        """The job is over."""
        self._given.pop(job_id, None)


class SharedTurns:
    """Organisations share turns by their weights, and the jobs of an organisation share its turns equally."""

    def __init__(self) -> None:
        self._organisations = FairTurns()
        self._jobs: dict[str, FairTurns] = {}

    def next(self, waiting: Mapping[str, str]) -> str | None:
        """The job whose turn it is, among those that have work (job id -> organisation); None: none has."""
        organisation = self._organisations.next(set(waiting.values()))
        if organisation is None:
            return None
        jobs = self._jobs.setdefault(organisation, FairTurns())
        return jobs.next([job_id for job_id, whose in waiting.items() if whose == organisation])

    def charge(self, job_id: str, organisation: str, rows: int, weight: float) -> None:
        """Note that `job_id` has been given `rows` rows; an organisation of weight 3 pays a third for each."""
        self._organisations.charge(organisation, rows / weight)
        self._jobs.setdefault(organisation, FairTurns()).charge(job_id, rows)

    def forget(self, job_id: str) -> None:
        """The job is over."""
        for jobs in self._jobs.values():
            jobs.forget(job_id)


@dataclass(slots=True)
class TokenBucket:
    """At most `rate` rows a second, with up to one second saved up. Times are seconds of any steady clock."""

    rate: float
    tokens: float = 0.0
    filled_at: float | None = None

    def wait_seconds(self, now: float) -> float:
        """How long until rows may be taken; 0: now."""
        self._fill(now)
        return 0.0 if self.tokens > 0 else -self.tokens / self.rate + 0.001

    def take(self, rows: int, now: float) -> None:
        """Take `rows` tokens; more than there are is a debt, which the next caller waits for."""
        self._fill(now)
        self.tokens -= rows

    def _fill(self, now: float) -> None:
        if self.filled_at is None:
            self.tokens = min(self.rate, 1.0)
        else:
            self.tokens = min(self.rate, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
