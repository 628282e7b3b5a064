"""Whose turn it is: start-time fair queueing over organisations with weights, and over the jobs of each. Pure.

A job's virtual time is what it has been given: rows by workers, blocks by readers. The job with the least goes next;
one that comes back from idleness starts at the least of those at work, so that it neither pays for the past nor makes
the others wait for it. Goyal, Vin, Cheng: Start-time Fair Queueing (SIGCOMM 1996).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping


class FairTurns:
    """Equal shares, over any number of jobs."""

    def __init__(self) -> None:
        self._given: dict[str, float] = {}
        self._floor = 0.0

    def next(self, waiting: Collection[str]) -> str | None:
        """The job whose turn it is, among those that have work; None: none has."""
        if not waiting:
            return None
        chosen = min(waiting, key=self._turn)
        self._floor = max(self._floor, self._given.get(chosen, 0.0))
        return chosen

    def order(self, waiting: Collection[str]) -> list[str]:
        """Those that have work, in the order of their turns."""
        return sorted(waiting, key=self._turn)

    def _turn(self, job_id: str) -> tuple[float, str]:
        return max(self._given.get(job_id, 0.0), self._floor), job_id

    def charge(self, job_id: str, amount: float) -> None:
        """Note that `job_id` has been given so many rows, or blocks."""
        self._given[job_id] = max(self._given.get(job_id, 0.0), self._floor) + amount

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

    def order(self, waiting: Mapping[str, str]) -> list[str]:
        """The jobs that have work (job id -> organisation) in the order of their turns: exactly as to the first one,
        and about so as to the others, which depends on how much each turn gives."""
        jobs: dict[str, list[str]] = {}
        for job_id, organisation in waiting.items():
            jobs.setdefault(organisation, []).append(job_id)
        places: list[tuple[int, int, str]] = []
        for place, organisation in enumerate(self._organisations.order(jobs)):
            own = self._jobs.setdefault(organisation, FairTurns()).order(jobs[organisation])
            places += ((turn, place, job_id) for turn, job_id in enumerate(own))
        return [job_id for _, _, job_id in sorted(places)]

    def charge(self, job_id: str, organisation: str, amount: int, weight: float) -> None:
        """Note that `job_id` has been given so many; an organisation of weight 3 pays a third for each."""
        self._organisations.charge(organisation, amount / weight)
        self._jobs.setdefault(organisation, FairTurns()).charge(job_id, amount)

    def forget(self, job_id: str) -> None:
        """The job is over."""
        for jobs in self._jobs.values():
            jobs.forget(job_id)
