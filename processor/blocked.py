"""Which jobs can't go on for now, since a server puts off what one of them, or all of one dataset, ask of it.

They hold up no others: their batches do not count among those that a worker has under way, and they begin no more of
them. Their requests that are under way are tried again until they are answered; then the jobs go on. No I/O, no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from schemas.job import Job


class Who(NamedTuple):
    """A job, or all jobs of a dataset."""

    kind: Literal["job", "dataset"]
    name: str
    """The job's id, or the dataset's name."""

    def means(self, job: Job) -> bool:
        """Whether this is the job, or its dataset."""
        return self.name == (job.id if self.kind == "job" else job.dataset)


class Blocked:
    """The jobs and datasets with requests that are put off."""

    def __init__(self) -> None:
        self._requests: Counter[Who] = Counter()
        """How many requests of each are put off."""
        self.on_told: Callable[[Who, str | None], None] = lambda *_: None
        """Called with why, each time that is known anew, and with None once it is over."""
        self.on_changed: Callable[[], None] = lambda: None
        """Called when other jobs than before may go on."""

    def __bool__(self) -> bool:
        return bool(self._requests)

    def holds(self, job_id: str, dataset: str) -> bool:
        """Whether this job, of this dataset, can't go on for now."""
        return Who("job", job_id) in self._requests or Who("dataset", dataset) in self._requests

    def begin(self, who: Who) -> None:
        """A request is put off; `end` follows."""
        self._requests[who] += 1
        if self._requests[who] == 1:
            self.on_changed()

    def end(self, who: Who) -> None:
        """It is answered, or given up."""
        self._requests[who] -= 1
        if self._requests[who] <= 0:
            del self._requests[who]
            self.on_told(who, None)
            self.on_changed()

    @contextmanager
    def of_job(self, job: Job) -> Iterator[None]:
        """The job waits for another server as long as this lasts."""
        who = Who("job", job.id)
        self.begin(who)
        try:
            yield
        finally:
            self.end(who)


class PutOffs:
    """What becomes of the tries of one request, or of one after the other: a context, as long as they take."""

    def __init__(self, blocked: Blocked, job_id: str, dataset: str) -> None:
        """`job_id`, `dataset`: the job that makes the request, and its dataset; empty: no job makes it, and none is
        blocked by it."""
        self._blocked = blocked
        self._job_id, self._dataset = job_id, dataset
        self._times = 0
        self._who: list[Who] = []

    def __enter__(self) -> PutOffs:
        return self

    def __exit__(self, *_: object) -> None:
        for who in self._who:
            self._blocked.end(who)
        self._who.clear()

    @property
    def waits_apart(self) -> bool:
        """Whether the next try is not to take the place of other jobs' requests."""
        if not self._job_id:
            return self._times > 0
        return self._blocked.holds(self._job_id, self._dataset)

    def again(self, reason: str, *, shared: bool, at_once: bool) -> bool:
        """A try was put off because of `reason`; whether that is shown as a trouble of these jobs alone.

        `shared`: the request is to the index of the dataset, of which other jobs' requests are put off as well.
        `at_once`: it took a server's whole patience. Other requests are mostly answered at the second try.
        """
        self._times += 1
        if not self._job_id:
            return False
        if self._times > 1 or at_once:
            who = Who("dataset", self._dataset) if shared and self._dataset else Who("job", self._job_id)
            if who not in self._who:
                self._who.append(who)
                self._blocked.begin(who)
            self._blocked.on_told(who, reason)
        return True
