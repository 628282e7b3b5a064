"""Keys that a worker opens sealed blocks with: asked for in threads, and waited for while the storage is away.

A job whose key is not in memory has no turn until it is. While the storage gives none, the job is held up as by a
request that is put off (`processor/blocked.py`), and its lanes say why. A key that is gone fails its job.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Final

from control.jobtable import JobTable
from processor.execution.failures import JobFailures
from processor.execution.tasks import BackgroundTasks
from processor.execution.troubles import Troubles
from processor.lanes.owned_lanes import Lanes
from runtime.clock import Clock
from runtime.files.sealing import JobKeys, KeyAwayError, SealError
from runtime.telemetry.log_events import as_event
from schemas.job import Job

log = logging.getLogger(__name__)

TRY_SECONDS: Final = 1.0
"""While the storage gives no key, it is asked for one this often; and one that has not answered for as long is away."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WorkerKeys:
    """The keys of the jobs that a worker works on."""

    keys: JobKeys
    """They wait for no answer (`patience` 0)."""
    jobs: JobTable
    lanes: Lanes
    troubles: Troubles
    failures: JobFailures
    tasks: BackgroundTasks
    """The questions that are under way."""
    clock: Clock
    on_come: Callable[[], None]
    """Called when jobs may go on whose keys have come."""
    _asked: dict[str, asyncio.Event] = field(default_factory=dict)
    """Job id -> set once its key has come, or is not waited for any more."""

    def may_open(self, job: Job) -> bool:
        """Whether blocks of the job can be opened now. If not, its key is asked for, and `on_come` called."""
        if not job.sealed or job.phase != "apply" or self.keys.holds(job.id):
            return True
        self._ask(job)
        return False

    async def wait_for(self, job: Job) -> bool:
        """Wait until blocks of the job can be opened; False: they can't, or the job is not to go on."""
        if self.may_open(job):
            return True
        await self._ask(job).wait()
        return self.keys.holds(job.id)

    def _ask(self, job: Job) -> asyncio.Event:
        come = self._asked.get(job.id)
        if come is None:
            come = self._asked[job.id] = asyncio.Event()
            self.tasks.start(self._fetch(job)).add_done_callback(lambda _: self._ended(job.id, come))
        return come

    def _ended(self, job_id: str, come: asyncio.Event) -> None:
        if self._asked.get(job_id) is come:
            del self._asked[job_id]
        come.set()
        self.on_come()

    async def _fetch(self, job: Job) -> None:
        told: str | None = None
        with ExitStack() as shown, self.failures.failing_only(job):
            while (current := self._at_work(job.id)) is not None:
                try:
                    await self._answer(job.id)
                    self.keys.find(job.id)
                    return
                except KeyAwayError as error:
                    if str(error) != told:
                        told = str(error)
                        log.warning("job %s waits: %s", job.id, told, extra=as_event("job.waits", job=job.id))
                        shown.close()
                        shown.enter_context(self.troubles.of_job(current, told))
                except SealError as error:
                    self.failures.fail(current, str(error))
                    return
                await self.clock.sleep(TRY_SECONDS)

    def _at_work(self, job_id: str) -> Job | None:
        """The job, if its blocks are still to be opened."""
        job = self.jobs.get(job_id)
        return job if job is not None and job.phase == "apply" and self.lanes.may_work(job) else None

    async def _answer(self, job_id: str) -> None:
        """Wait for the storage's answer, for a while."""
        loop = asyncio.get_running_loop()
        come = asyncio.Event()

        def tell(_: Future[bytes]) -> None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(come.set)

        self.keys.ask(job_id).add_done_callback(tell)
        waits = [asyncio.ensure_future(come.wait()), asyncio.ensure_future(self.clock.sleep(TRY_SECONDS))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
