"""Feeds records into the view, and wakes the requests that wait for a change of a job. For the event loop only."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from api.readmodel.job_index import JobIndex
from api.readmodel.seen import EventSeen, OldEventSeen, Seen
from runtime.telemetry.log_events import as_event
from schemas.job import ENDED, Job, State
from schemas.messages.events import CommandRejected

log = logging.getLogger(__name__)

_SKIPPED_SECONDS = 0.5
_TRANSITIONS_KEPT = 100


class Watch:
    """What has changed about a job since its one waiter last read it."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.transitions: deque[Job] = deque(maxlen=_TRANSITIONS_KEPT)
        """The job after each change of its state, oldest first; the waiter removes those it has read."""

    def wake(self) -> None:
        """Something has changed."""
        self._changed.set()

    async def change(self) -> None:
        """Wait for the next change since the last call."""
        await self._changed.wait()
        self._changed.clear()


class JobFeed:
    """The view and its waiters."""

    def __init__(self) -> None:
        self.view = JobIndex()
        self._watches: dict[str, set[Watch]] = {}
        self._caught_up = asyncio.Event()
        self._history_since = 0
        self._history_complete = asyncio.Event()
        self._history_complete.set()

    @property
    def caught_up(self) -> bool:
        """Whether the view has once reached the end of its topics."""
        return self._caught_up.is_set()

    async def until_caught_up(self) -> None:
        """Wait until the view has reached the end of its topics."""
        await self._caught_up.wait()

    def set_caught_up(self) -> None:
        """Record that the view has reached the end of its topics."""
        self._caught_up.set()

    async def until_history_complete(self, job: Job) -> None:
        """Wait until it is known where the job's history lies: a while after the start, if it has ended or is old."""
        if job.state in ENDED or job.created_at < self._history_since:
            await self._history_complete.wait()

    def set_history_incomplete(self, since: int = 0) -> None:
        """Record that it has to be found out first, of jobs that have ended and of those that were made before `since`,
        in milliseconds since 1970."""
        self._history_since = since
        self._history_complete.clear()

    def set_history_complete(self) -> None:
        """Record that it is known."""
        self._history_complete.set()

    def take(self, batch: Iterable[Seen]) -> None:
        """Fold a batch of records into the view, and wake the waiters of their jobs."""
        changed: set[str] = set()
        for seen in batch:
            before = self._state(seen.job_id)
            try:
                self.view.fold(seen)
            except Exception:  # one record's error must not lose the rest of the batch
                log.exception(
                    "a record of job %s can't be taken in: %s",
                    seen.job_id,
                    type(seen).__name__,
                    extra=as_event("record.unreadable", job=seen.job_id),
                )
                continue
            after = self._state(seen.job_id)
            if after is not None and before is not after:
                for watch in self._watches.get(seen.job_id, ()):
                    watch.transitions.append(self.view.jobs[seen.job_id])
            if not isinstance(seen, EventSeen | OldEventSeen) or getattr(seen, "rejection", None) is not None:
                changed.add(seen.job_id)
        for job_id in changed:
            for watch in self._watches.get(job_id, ()):
                watch.wake()

    def _state(self, job_id: str) -> State | None:
        job = self.view.jobs.brief(job_id)
        return job.state if job else None

    @contextmanager
    def watch(self, job_id: str) -> Iterator[Watch]:
        """A `Watch` of one job; it gets changes as long as the context is open."""
        watch = Watch()
        self._watches.setdefault(job_id, set()).add(watch)
        try:
            yield watch
        finally:
            self._watches[job_id].discard(watch)
            if not self._watches[job_id]:
                del self._watches[job_id]

    async def until(self, job_id: str, reached: Callable[[Job], bool], timeout: float) -> Job | None:
        """The job, as soon as `reached` is true of it; None: not within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                with self.watch(job_id) as watch:
                    while True:
                        job = self.view.jobs.get(job_id)
                        if job is not None and reached(job):
                            return job
                        await watch.change()
        except TimeoutError:
            return None

    async def answer(self, job_id: str, offset: int, timeout: float) -> Job | CommandRejected | None:
        """The outcome of the command at `offset`; None: no worker has handled it within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                with self.watch(job_id) as watch:
                    while (answer := self.view.answer(job_id, offset)) is None:
                        job = self.view.jobs.get(job_id)
                        if job is not None and job.command_offset > offset:
                            return await self._late_answer(job, offset, watch)
                        await watch.change()
                    return answer
        except TimeoutError:
            return None

    async def _late_answer(self, job: Job, offset: int, watch: Watch) -> Job | CommandRejected:
        """The outcome of a command below the job's newest offset that has none in the view.

        Either it was refused, and the record of that (on another topic) is not read yet; or this process has read
        only a later state of the job, which is then the answer.
        """
        try:
            async with asyncio.timeout(_SKIPPED_SECONDS):
                while (answer := self.view.answer(job.id, offset)) is None:
                    await watch.change()
                return answer
        except TimeoutError:
            return self.view.jobs.get(job.id, job)
