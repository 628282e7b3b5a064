"""The first rows of a job, looked at before one is written: by the worker that has its first block, once in each epoch.

The first block lies on partition 0, and carries a copy of the rows behind it. Until the control agent has taken in the
report, the lanes of the job give out no block (`rows_within` in control/creation/inspection.py). Nothing is written
meanwhile, so no pause has to wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from msgspec.structs import replace

from control.creation.inspection import INSPECTED_ROWS, awaits_inspection
from control.jobtable import JobTable
from processor.errors import CannotGoOnError, FencedError
from processor.execution.failures import JobFailures
from processor.execution.own_rows import own_rows
from processor.execution.tasks import BackgroundTasks
from processor.execution.work_factory import WorkFactory
from processor.lanes.owned_lanes import CONCLUDING, Lanes
from processor.operations.work import Work
from processor.stream.publisher import Publisher
from processor.suspicion.judging import suspicion_of
from processor.suspicion.probe import OwnRows, Probe
from processor.validation.rows import CheckedRows
from runtime.files.sealing import SealError, opened
from runtime.telemetry.log_events import as_event
from schemas.descriptors.datasets import Dataset
from schemas.job import Job
from schemas.messages.blocks import Block, RowBlock
from schemas.messages.codec import decode, encode
from schemas.messages.commands import RowsInspected
from schemas.suspicion import Suspicion

log = logging.getLogger(__name__)

MOST_CELLS = 20_000
"""Values that are compared with the own rows: of wide files, fewer rows."""
LEAST_ROWS = 50


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Inspections:
    """One worker's."""

    jobs: JobTable
    lanes: Lanes
    works: WorkFactory
    failures: JobFailures
    publisher: Publisher
    tasks: BackgroundTasks
    """The inspections that are under way."""
    key_of: Callable[[str], bytes]
    """The key of a job whose blocks are sealed. Raises SealError."""

    def begin_due(self) -> None:
        """Begin those whose first block has come."""
        for job_id, lanes in self.lanes.by_job.items():
            job, lane = self.jobs.get(job_id), lanes.get(CONCLUDING)
            if job is None or lane is None or not awaits_inspection(job) or not self.lanes.may_work(job):
                continue
            if self.lanes.inspected_in.get(job_id) == job.epoch:
                continue
            first = next((loaded for loaded in lane.ready if loaded.block == 0), None)
            if first is not None:
                self.lanes.inspected_in[job_id] = job.epoch
                self.tasks.start(self._inspect(job, first.value))

    async def _inspect(self, job: Job, value: bytes) -> None:
        try:
            with self.failures.failing_only(job):
                _, work = await self.works.for_conclusion(job)
                suspicion, own = await self._looked_at(work, self._opened(value))
                report = RowsInspected(job_id=job.id, epoch=job.epoch, suspicion=suspicion, own_rows=own)
                await self.publisher.publish("commands", job.id.encode(), encode(report))
        except FencedError:
            pass  # the job is paused, or partition 0 belongs to another worker by now

    def _opened(self, value: bytes) -> RowBlock:
        try:
            return cast(RowBlock, opened(decode(value, Block), self.key_of))
        except SealError as error:
            raise CannotGoOnError(str(error)) from error

    async def _looked_at(self, work: Work, block: RowBlock) -> tuple[Suspicion | None, int]:
        """What the rows look like, and how many rows there were to compare with."""
        probe = probe_of(work, block)
        own = OwnRows({})
        try:
            own = await own_rows(work, self.jobs, probe)
        except CannotGoOnError as error:
            told = "job %s: its first rows can't be compared with the organisation's own: %s"
            log.warning(told, work.job.id, error, extra=as_event("job.not_inspected", job=work.job.id))
        try:
            return await asyncio.to_thread(suspicion_of, probe, own), own.known
        except Exception:
            told = "job %s: its first rows could not be looked at"
            log.exception(told, work.job.id, extra=as_event("job.not_inspected", job=work.job.id))
            return None, own.known


def probe_of(work: Work, block: RowBlock) -> Probe:
    """The first rows, from the first block. Raises as `Work.check`."""
    rows = [*block.rows, *block.ahead][:INSPECTED_ROWS]
    unreadable = {place: reason for place, reason in block.unreadable.items() if place < len(rows)}
    whole = replace(block, rows=rows, numbers=None, lines=None, ahead=[], unreadable=unreadable)
    source, options = work.job.source, work.job.options
    recorded = source.columns or {}
    # by their exact names, with what followed from the option
    asked = recorded if options.columns or options.ignore_extra else {}
    return probe_of_rows(work.dataset, whole, work.check(whole), recorded, asked, work.job.created_at)


def probe_of_rows(
    dataset: Dataset,
    block: RowBlock,
    checked: CheckedRows,
    recorded: Mapping[str, str | None],
    asked: Mapping[str, str | None],
    at: int,
) -> Probe:
    """The rows of a block as a probe. `recorded`: the file's columns, if they are not called as their fields are."""
    wanted = len(block.columns)
    most = max(LEAST_ROWS, MOST_CELLS // max(1, wanted))
    fits: list[Sequence[str]] = []
    misfits: list[Sequence[str]] = []
    for place, row in enumerate(block.rows):
        if place not in block.unreadable:
            (fits if len(row) == wanted else misfits).append(row)
    numbers = checked.numbers[:most]
    good = [block.rows[number - block.first_row] for number in numbers]
    return Probe(
        dataset=dataset,
        columns=tuple(block.columns),
        rows=fits,
        misfits=misfits,
        stored={name: values[:most] for name, values in zip(checked.columns, checked.stored, strict=True)},
        texts={name: [row[place] for row in good] for place, name in enumerate(block.columns)},
        numbers=numbers,
        headers=dict(enumerate(recorded or block.columns)),
        asked=asked,
        at=at,
    )
