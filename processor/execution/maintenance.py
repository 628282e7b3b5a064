"""What the owner of partition 0 does again and again: it prolongs what unfinished jobs need, begins the next indices,
and removes what is kept no longer.

Each of these has a task of its own: millions of documents may take an hour to delete, and the point in time of an
export lives for a quarter of one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from control.jobtable import JobTable
from processor.elastic.bulk import Gate
from processor.elastic.generations import rolling
from processor.erasure.housekeeping import Housekeeping
from processor.errors import CannotGoOnError, FencedError
from processor.execution.failures import JobFailures
from processor.execution.report_retention import delete_old_reports
from processor.execution.work_factory import WorkFactory
from processor.lanes.owned_lanes import Lanes
from processor.operations.base import required_file_operation
from processor.operations.dry_run_keys import sweep_claims
from processor.operations.modes.retention import sweep_images
from runtime.clock import Clock
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from schemas.job import BUSY
from schemas.topics import DAY_MS

log = logging.getLogger(__name__)

MINUTE: Final = 60.0
HOUR: Final = 3600.0
_ORPHAN_MS: Final = DAY_MS
"""A younger index of claims, of a job that is not known, may be of one whose state has not come to this worker yet."""


@dataclass(frozen=True, slots=True)
class Periodic:
    """Something that is done again and again."""

    seconds: float
    """How long it waits for its turn, from the worker's start or from its last end on."""
    what: str
    """What can't be done where it fails, as the beginning of a sentence: old reports can't be deleted."""
    run: Callable[[Gate], Awaitable[object]]
    """Does it once; the gate is open in the owner of partition 0."""
    at_opening: bool = False
    """Whether it is also done when the worker has taken its partitions over."""


class Maintenance:
    """Does what is periodic, in the worker that owns partition 0. An error of one leaves it for its next turn."""

    def __init__(self, lanes: Lanes, gate: Gate, clock: Clock, periodic: Sequence[Periodic], claims: Periodic) -> None:
        """`claims`: the one that is also to be done after a dry run."""
        self._lanes = lanes
        self._gate = gate
        self._clock = clock
        self._periodic = periodic
        self._claims = claims

    async def run(self) -> None:
        """Do each in its turns, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for one in self._periodic:
                tasks.create_task(self._again_and_again(one))

    async def opened(self) -> None:
        """The worker has taken partitions over: do what a predecessor may have left."""
        for one in self._periodic:
            if one.at_opening:
                await self._once(one)

    async def dry_run_over(self) -> None:
        """A dry run has ended."""
        await self._once(self._claims)

    async def _again_and_again(self, one: Periodic) -> None:
        while True:
            await self._clock.sleep(one.seconds)
            await self._once(one)

    async def _once(self, one: Periodic) -> None:
        if not self._lanes.does_job_steps:
            return
        try:
            await one.run(self._gate)
        except FencedError:
            pass  # partition 0 belongs to another worker by now
        except CannotGoOnError as error:
            log.warning("%s: %s", one.what, error, extra=as_event("maintenance.trouble"))
        except Exception:
            log.exception("%s: an unexpected error", one.what, extra=as_event("maintenance.trouble"))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Duties:
    """What there is to do again and again."""

    jobs: JobTable
    works: WorkFactory
    failures: JobFailures
    clock: Clock
    housekeeping: Housekeeping
    settings: Settings

    @property
    def periodic(self) -> list[Periodic]:
        """All of it."""
        return [
            Periodic(MINUTE, "what unfinished jobs need can't be prolonged", self._keep),
            Periodic(MINUTE, "no index can be begun", self._roll),
            Periodic(HOUR, "old reports can't be deleted", self._delete_reports, at_opening=True),
            Periodic(HOUR, "before-images that are old enough can't be deleted", self._sweep_images, at_opening=True),
            Periodic(self.settings.housekeeping_seconds, "nothing more can be removed now", self.housekeeping.run),
            self.claims,
        ]

    @property
    def claims(self) -> Periodic:
        """The end of the keys that dry runs have met, which is done after each of them as well."""
        what = "the keys of dry runs that are over can't be deleted"
        return Periodic(HOUR, what, self._sweep_claims, at_opening=True)

    async def _keep(self, _: Gate) -> None:
        for job in self.jobs.busy_or_queued():
            if not self.works.makes_file(job) or job.phase != "apply" or job.state not in BUSY:
                continue
            # A FencedError says that the job has moved on meanwhile.
            with contextlib.suppress(FencedError), self.failures.failing_only(job):
                operation, work = await self.works.for_job_step(job)
                await required_file_operation(operation).keep(work)

    async def _roll(self, gate: Gate) -> None:
        """Begin the next index of a dataset whose rows have outgrown theirs."""
        if self.settings.index_bytes is None:
            return
        unique = [operation.kind.dataset for operation in self.works.operations.values() if operation.kind.dataset]
        for dataset in rolling(list(self.works.datasets.values()), unique):
            try:
                begun = await self.works.generations.roll(dataset, self.settings.index_bytes, gate)
            except CannotGoOnError as error:
                log.warning("no new index for %s: %s", dataset, error, extra=as_event("maintenance.trouble"))
                continue
            if begun is not None:
                told = as_event("index.rolled", index=begun.index)
                log.info("jobs write into %s soon: the index before it is full", begun.index, extra=told)

    async def _delete_reports(self, gate: Gate) -> None:
        days = self.settings.report_retention_days
        if days is not None:
            now = self.clock.now_ms()
            await delete_old_reports(self.works.sink, self.works.prefix, self.jobs, days, now, gate)

    async def _sweep_images(self, gate: Gate) -> None:
        days = self.settings.image_retention_days
        before = self.clock.now_ms() - round(days * DAY_MS)
        deleted = await sweep_images(self.works.sink, self.works.prefix, self.jobs, gate, before)
        if deleted:
            told = "%d before-images of jobs that ended %g days ago are deleted"
            log.info(told, deleted, days, extra=as_event("images.deleted", count=deleted))

    async def _sweep_claims(self, gate: Gate) -> None:
        made_before = self.clock.now_ms() - _ORPHAN_MS
        await sweep_claims(self.works.sink, self.works.prefix, self.jobs, gate, made_before)
