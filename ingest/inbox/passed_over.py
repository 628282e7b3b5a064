"""Jobs of one partition of the inbox whose records are passed over while the storage does not give their keys. Pure.

Without its key a job's rows can't become blocks, and their number has no bound, so none is kept in memory. Records of
other jobs are dealt with as they come. The committed offset stays at the first record that was passed over. When the
storage gives the key, these records are read a second time, beside those that come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

TRY_SECONDS = 1.0
"""While the storage gives no key, it is asked for one this often."""


@dataclass(frozen=True, slots=True)
class _Offsets:
    """Where the records of a job lie that were passed over, among others."""

    first: int
    end: int
    """One behind the last."""


class PassedOver:
    """Each job is passed over, then due for the second reading, then read a second time, then forgotten."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}  # of jobs that are passed over; the next one to be tried is first
        self._firsts: dict[str, int] = {}
        self._due: dict[str, _Offsets] = {}
        self._reading: dict[str, _Offsets] = {}
        self._next_try = 0.0

    def __contains__(self, job_id: str) -> bool:
        """Whether records of the job are passed over now."""
        return job_id in self._problems

    def __len__(self) -> int:
        return len(self._problems) + len(self._due) + len(self._reading)

    @property
    def first(self) -> int | None:
        """The lowest offset that may hold a record that was passed over; None: there is none."""
        waiting = [offsets.first for jobs in (self._due, self._reading) for offsets in jobs.values()]
        return min([*self._firsts.values(), *waiting], default=None)

    def problem(self, job_id: str) -> str | None:
        """Why the job is passed over; None: it is not."""
        return self._problems.get(job_id)

    def pass_over(self, job_id: str, problem: str, first: int) -> None:
        """Pass over the job's records from now on. Those from offset `first` on that have come are in no block."""
        known = [jobs.pop(job_id).first for jobs in (self._due, self._reading) if job_id in jobs]
        self._problems[job_id] = problem
        self._firsts[job_id] = min(first, *known, self._firsts.get(job_id, first))

    def try_again(self, problem_of: Callable[[str], str | None], end: int, now: float) -> list[str]:
        """Ask `problem_of` the job that has waited longest, and the next one for as long as the answer is None: these
        jobs are due for the second reading, up to the offset `end`, which is dealt with next. Answers which.

        `now`: seconds of a steady clock. In `TRY_SECONDS` there is one answer that is not None, as each may take time.
        """
        found: list[str] = []
        if not self._problems or now < self._next_try:
            return found
        self._next_try = now + TRY_SECONDS
        for job_id in list(self._problems):
            problem = problem_of(job_id)
            del self._problems[job_id]
            if problem is not None:
                self._problems[job_id] = problem  # the last one now
                break
            self._due[job_id] = _Offsets(self._firsts.pop(job_id), end)
            found.append(job_id)
        return found

    def begin(self) -> tuple[int, int] | None:
        """Begin the second reading of the jobs that are due; answers the first offset, and the one behind the last.
        None: no job is due."""
        if not self._due:
            return None
        self._reading, self._due = self._due, {}
        places = self._reading.values()
        return min(place.first for place in places), max(place.end for place in places)

    def reads_again(self, job_id: str) -> bool:
        """Whether the job's records are taken in the second reading."""
        return job_id in self._reading

    def ended(self) -> None:
        """The second reading has come to its end: no record of its jobs is missing any more."""
        self._reading = {}
