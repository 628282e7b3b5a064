"""What the owner of partition 0 does again and again: it prolongs what unfinished jobs need, begins the next indices,
and removes what is kept no longer.

Each of these has a task of its own, and so has each part of one: millions of documents may take an hour to delete, a
request that Elasticsearch puts off is made again for as long as that takes, and the point in time of an export lives
for a quarter of an hour.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
from schemas.job import BUSY, Job
from schemas.topics import DAY_MS

log = logging.getLogger(__name__)

MINUTE: Final = 60.0
HOUR: Final = 3600.0
_ORPHAN_MS: Final = DAY_MS
"""A younger index of claims, of a job that is not known, may be of one whose state has not come to this worker yet."""


Duty = Callable[[Gate], Awaitable[object]]
"""Does something once; the gate is open in the owner of partition 0."""
Parts = Callable[[], Mapping[str, Duty]]
"""What there is to do now, in parts that do not wait for each other, by names that stay the same."""


@dataclass(frozen=True, slots=True)
class Periodic:
    """Something that is done again and again."""

    seconds: float
    """From the worker's start to its first turn, and from one turn to the next. A part that is still under way from an
    earlier turn is left out of a turn."""
    what: str
    """What can't be done where it fails, as the beginning of a sentence: old reports can't be deleted."""
    parts: Parts
    at_opening: bool = False
    """Whether it is also done when the worker has taken its partitions over."""


def whole(duty: Duty) -> Parts:
    """Something that is done in one."""
    return lambda: {"": duty}


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
                tasks.create_task(self._again_and_again(one, tasks))

    async def opened(self) -> None:
        """The worker has taken partitions over: do what a predecessor may have left."""
        await self._once([one for one in self._periodic if one.at_opening])

    async def dry_run_over(self) -> None:
        """A dry run has ended."""
        await self._once([self._claims])

    async def _again_and_again(self, one: Periodic, tasks: asyncio.TaskGroup) -> None:
        under_way: dict[str, asyncio.Task[None]] = {}
        while True:
            await self._clock.sleep(one.seconds)
            under_way = {name: task for name, task in under_way.items() if not task.done()}
            for name, duty in self._due(one).items():
                if name not in under_way:
                    under_way[name] = tasks.create_task(self._carry_out(one, duty))

    async def _once(self, some: Sequence[Periodic]) -> None:
        await asyncio.gather(*(self._carry_out(one, duty) for one in some for duty in self._due(one).values()))

    def _due(self, one: Periodic) -> Mapping[str, Duty]:
        if not self._lanes.does_job_steps:
            return {}
        try:
            return one.parts()
        except Exception:
            self._log_unexpected(one)
            return {}

    async def _carry_out(self, one: Periodic, duty: Duty) -> None:
        try:
            await duty(self._gate)
        except FencedError:
            pass  # the job has moved on, or partition 0 belongs to another worker by now
        except CannotGoOnError as error:
            log.warning("%s: %s", one.what, error, extra=as_event("maintenance.trouble"))
        except Exception:
            self._log_unexpected(one)

    def _log_unexpected(self, one: Periodic) -> None:
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
            Periodic(MINUTE, "what unfinished jobs need can't be prolonged", self._kept),
            Periodic(MINUTE, "no index can be begun", self._rolling),
            Periodic(HOUR, "old reports can't be deleted", whole(self._delete_reports), at_opening=True),
            Periodic(HOUR, "old before-images can't be deleted", whole(self._sweep_images), at_opening=True),
            Periodic(self.settings.housekeeping_seconds, "what is over can't be removed now", self.housekeeping.steps),
            self.claims,
        ]

    @property
    def claims(self) -> Periodic:
        """The end of the keys that dry runs have met, which is done after each of them as well."""
        what = "the keys of dry runs that are over can't be deleted"
        return Periodic(HOUR, what, whole(self._sweep_claims), at_opening=True)

    def _kept(self) -> dict[str, Duty]:
        """The jobs whose files are being made."""
        busy = (job for job in self.jobs.busy_or_queued() if job.phase == "apply" and job.state in BUSY)
        return {job.id: partial(self._keep, job) for job in busy if self.works.makes_file(job)}

    async def _keep(self, job: Job, _: Gate) -> None:
        with self.failures.failing_only(job):
            operation, work = await self.works.for_job_step(job)
            await required_file_operation(operation).keep(work)

    def _rolling(self) -> dict[str, Duty]:
        """The datasets that may have a next index."""
        most = self.settings.index_bytes
        if most is None:
            return {}
        unique = [operation.kind.dataset for operation in self.works.operations.values() if operation.kind.dataset]
        datasets = rolling(list(self.works.datasets.values()), unique)
        return {dataset: partial(self._roll, dataset, most) for dataset in datasets}

    async def _roll(self, dataset: str, most_bytes: int, gate: Gate) -> None:
        """Begin the next index of a dataset if its rows have outgrown theirs."""
        try:
            begun = await self.works.generations.roll(dataset, most_bytes, gate)
        except CannotGoOnError as error:
            log.warning("no new index for %s: %s", dataset, error, extra=as_event("maintenance.trouble"))
            return
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
