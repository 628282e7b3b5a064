"""Background tasks of a worker: who waits for them, and what an error in one of them does.

An error that leaves a task belongs to no job (see `processor/execution/failures.py`): it ends the worker, and the
worker's successor goes on from the checkpoints.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import Any

from runtime.telemetry.log_events import as_event

log = logging.getLogger(__name__)

TaskBody = Coroutine[Any, Any, None]


class WorkerFailure:
    """The first error that a worker can't recover from. To be made inside the event loop."""

    def __init__(self) -> None:
        self._error: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def report(self, error: Exception) -> None:
        """End the worker because of this error; the first one counts."""
        if not self._error.done():
            self._error.set_exception(error)

    async def watch(self) -> None:
        """Wait for an error, and raise it."""
        await self._error


class BackgroundTasks:
    """Tasks of one kind, which are not awaited one by one."""

    def __init__(self, failure: WorkerFailure, on_done: Callable[[], None] | None = None) -> None:
        """`on_done` is called after each task, however it ended."""
        self._failure = failure
        self._on_done = on_done
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def running(self) -> frozenset[asyncio.Task[None]]:
        """The tasks that have not ended."""
        return frozenset(self._tasks)

    def start(self, work: TaskBody) -> asyncio.Task[None]:
        """Have `work` done in a task, which this returns. An error of it ends the worker."""
        task = asyncio.create_task(self._supervised(work))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, work))
        return task

    def cancel(self) -> None:
        """Tell all tasks to stop, without waiting for them."""
        for task in self.running:
            task.cancel()

    async def stop(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _supervised(self, work: TaskBody) -> None:
        try:
            await work
        except Exception as error:
            log.exception("this worker can't go on", extra=as_event("process.failed"))
            self._failure.report(error)

    def _ended(self, work: TaskBody, task: asyncio.Task[None]) -> None:
        work.close()  # a task that was cancelled before its first turn has not begun it
        self._tasks.discard(task)
        if self._on_done is not None:
            self._on_done()


class WorkerTasks:
    """All background tasks of one worker, by kind. To be made inside the event loop."""

    def __init__(self, on_batch_done: Callable[[], None]) -> None:
        self.failure = WorkerFailure()
        self.batches = BackgroundTasks(self.failure, on_batch_done)
        """Tasks that apply or undo blocks."""
        self.job_steps = BackgroundTasks(self.failure)
        """Tasks for the steps that are done once for a job."""
        self.of_partitions = BackgroundTasks(self.failure)
        """Tasks that end when the partitions are revoked."""
        self.reports = BackgroundTasks(self.failure)
        """Reports and cleaning up, which outlast the partitions."""

    @property
    def in_flight(self) -> frozenset[asyncio.Task[None]]:
        """The tasks of which a request may be in flight, that the next owner of the partitions has to know of."""
        return self.batches.running | self.job_steps.running


async def drain(tasks: Collection[asyncio.Task[None]], patience: TaskBody) -> None:
    """Wait until all of one or more tasks have ended, or until `patience` (a sleep) is over; cancels no task."""
    timer = asyncio.create_task(patience)
    ended = asyncio.create_task(asyncio.wait(tasks))
    try:
        await asyncio.wait({timer, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
        ended.cancel()
