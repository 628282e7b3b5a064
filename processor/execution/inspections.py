"""What is looked at before a job's first row is written: by the worker that owns partition 0, once in each epoch.

It looks whether the job's id is free of an earlier job's rows, and what the first rows of its file look like. The
first block lies on partition 0, and carries a copy of the rows behind it. Until the control agent has taken in the
report, the lanes of the job give out no block (`rows_within` in control/creation/inspection.py). Nothing is written
meanwhile, so no pause has to wait for it. What depends on the organisation's own rows alone is done while that block
is on its way: as soon as the state shows that the job has started.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from msgspec.structs import replace

from control.creation.inspection import INSPECTED_ROWS, awaits_inspection, looks_at_rows, looks_for_earlier
from control.jobtable import JobTable
from processor.errors import CannotGoOnError, FencedError, PutOffError
from processor.execution.earlier_job import require_free_id
from processor.execution.failures import JobFailures
from processor.execution.job_keys import WorkerKeys
from processor.execution.own_rows import fields_of, own_rows, with_found
from processor.execution.searching import Searches, SharedSearches, until_answered
from processor.execution.tasks import BackgroundTasks
from processor.execution.work_factory import WorkFactory
from processor.lanes.owned_lanes import JOB_STEP_PARTITION, Lanes
from processor.operations.work import Work
from processor.stream.publisher import RecordPublisher
from processor.suspicion.first_rows import FirstRows, OwnRows
from processor.suspicion.judging import learn, looks_of, suspicion_of
from processor.validation.rows import CheckedRows
from runtime.files.sealing import KeyAwayError, SealError, opened
from runtime.telemetry.log_events import as_event
from schemas.descriptors.datasets import Dataset
from schemas.job import Job
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import encode
from schemas.messages.commands import RowsInspected
from schemas.suspicion import Suspicion

log = logging.getLogger(__name__)

MOST_CELLS = 20_000
"""Values that are compared with the own rows: of wide files, fewer rows."""
LEAST_ROWS = 50
MOST_AT_ONCE = 32
"""Jobs whose first rows are looked at at once, with the own rows of as many organisations in memory; and as many more
whose own rows have been read before their first block has come. A job that Elasticsearch puts off is none of them: it
has nothing in memory until it asks again."""


@dataclass(slots=True, eq=False)
class _Inspection:
    """An inspection that the worker has begun."""

    epoch: int
    come: asyncio.Future[bool]
    """Whether the first block has come, in memory or not; False: it is not to come any more."""
    first: asyncio.Future[bytes | None]
    """The first block, once it is wanted and in memory; None: it is not to come any more."""
    wanted: bool = False
    """Whether the first block is wanted now."""

    def put_back(self) -> None:
        """The first block is not wanted any more, or not yet again; it need not stay in memory."""
        self.wanted = False
        self.first = asyncio.get_running_loop().create_future()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Inspections:
    """Inspects the first rows of new files, in the worker that owns partition 0."""

    jobs: JobTable
    lanes: Lanes
    works: WorkFactory
    failures: JobFailures
    publisher: RecordPublisher
    searches: SharedSearches
    tasks: BackgroundTasks
    """The inspections that are under way."""
    keys: WorkerKeys
    on_wanted: Callable[[str], None]
    """Called with the id of a job whose first block is wanted: `begin_due` is to be called once it is in memory."""
    early: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))
    """Turns of inspections that read the own rows before their first block has come."""
    looks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))
    """Turns of inspections whose first block has come."""
    begun: dict[str, _Inspection] = field(default_factory=dict)
    """Job id -> the inspection of the job's newest epoch that has one."""
    _awaiting: set[str] = field(default_factory=set)
    """The jobs of `begun` that wait for their first block, to come or to be in memory: `begin_due` goes through them
    for each batch, and inspections that wait for their turn cost it nothing."""

    def follow(self, job: Job) -> None:
        """Ask for the organisation's own rows once the job has started: its first block comes soon."""
        if awaits_inspection(job) and self.lanes.may_work(job):
            if JOB_STEP_PARTITION in self.lanes.owned:
                self._begun(job)
        else:
            self.drop(job.id)

    def drop(self, job_id: str) -> None:
        """Stop the job's inspection, if one has begun."""
        begun = self.begun.pop(job_id, None)
        self._awaiting.discard(job_id)
        if begun is not None:
            if not begun.come.done():
                begun.come.set_result(False)
            if not begun.first.done():
                begun.first.set_result(None)

    def forget(self) -> None:
        """Forget what was begun: the partitions are another worker's, which repeats inspections that were not
        reported."""
        for job_id in list(self.begun):
            self.drop(job_id)

    def wants_first(self, job_id: str) -> bool:
        """Whether the job's first block is to be in memory, to be looked at."""
        begun = self.begun.get(job_id)
        return begun is not None and begun.wanted and not begun.first.done()

    def begin_due(self) -> None:
        """Look at the first blocks that have come."""
        for job_id in list(self._awaiting):
            lane = self.lanes.get(job_id, JOB_STEP_PARTITION)
            job = self.jobs.get(job_id)
            if lane is None or not lane.todo or job is None:
                continue
            if not awaits_inspection(job) or not self.lanes.may_work(job):
                continue
            begun = self._begun(job)
            if not begun.come.done():
                begun.come.set_result(True)
            if begun.wanted:
                first = next((loaded for loaded in lane.ready if loaded.block == 0), None)
                if first is None:
                    continue
                begun.first.set_result(first.value)
            self._awaiting.discard(job_id)

    def _begun(self, job: Job) -> _Inspection:
        known = self.begun.get(job.id)
        if known is not None and known.epoch == job.epoch:
            return known
        self.drop(job.id)
        loop = asyncio.get_running_loop()
        made = self.begun[job.id] = _Inspection(job.epoch, loop.create_future(), loop.create_future())
        self._awaiting.add(job.id)
        self.tasks.start(self._inspect(job, made))
        return made

    async def _inspect(self, job: Job, begun: _Inspection) -> None:
        try:
            with self.failures.failing_only(job):
                operation, work = await self.works.for_job_step(job)
                if looks_for_earlier(job.id, job.created_at):
                    await until_answered(work, self.searches, partial(require_free_id, operation))
                report = RowsInspected(job_id=job.id, epoch=job.epoch)
                if looks_at_rows(job.source, job.options):
                    found = await until_answered(work, self.searches, partial(self._found_in_rows, begun))
                    if found is None:
                        return
                    suspicion, own_rows = found
                    report = replace(report, suspicion=suspicion, own_rows=own_rows)
                await self.publisher.publish("reports", job.id.encode(), encode(report))
        except FencedError:
            pass  # the job is paused, or partition 0 belongs to another worker by now

    async def _found_in_rows(
        self, begun: _Inspection, work: Work, searches: Searches
    ) -> tuple[Suspicion | None, int] | None:
        """What the first rows look like, None: right; and how many own rows there are. None: the first block is not to
        come any more. Raises PutOffError: nothing is kept, and all of it is to be done again.

        A job whose first block has come waits for its turn without its own rows in memory; one whose first block has
        not come, for whatever reason, takes no turn of those whose has.
        """
        async with contextlib.AsyncExitStack() as until_looked:
            own: OwnRows | None = None
            if not self.early.locked():
                await until_looked.enter_async_context(self.early)
                own = await self._own_rows(work, searches)
            if not await begun.come or not await self.keys.wait_for(work.job):
                return None
            async with self.looks:
                await until_looked.aclose()
                if own is None:
                    own = await self._own_rows(work, searches)
                value = await self._first_block(work.job.id, begun)
                if value is None:
                    return None
                return await self._looked_at(work, self._opened(value), own, searches), own.known

    async def _first_block(self, job_id: str, begun: _Inspection) -> bytes | None:
        """The first block, from the log if need be; None: it is not to come any more."""
        if self.begun.get(job_id) is not begun:
            return None
        begun.wanted = True
        self._awaiting.add(job_id)
        self.on_wanted(job_id)
        try:
            return await begun.first
        finally:
            begun.put_back()

    def _opened(self, value: bytes) -> RowBlock:
        try:
            return cast(RowBlock, opened(value, self.keys.keys.find)[0])
        except KeyAwayError as error:
            raise PutOffError(str(error)) from error
        except SealError as error:
            raise CannotGoOnError(str(error)) from error

    async def _own_rows(self, work: Work, searches: Searches) -> OwnRows:
        """The rows to compare with; none, where Elasticsearch refuses to tell. Raises PutOffError."""
        names = fields_of(work)
        try:
            own = await own_rows(work, self.jobs, names, searches)
        except CannotGoOnError as error:
            _log_refusal(work, error)
            return OwnRows({})
        if own.rows:
            with _noted(work):
                await asyncio.to_thread(learn, own, work.dataset, names)
        return own

    async def _looked_at(self, work: Work, block: RowBlock, own: OwnRows, searches: Searches) -> Suspicion | None:
        """The accident that the rows look like; None: they look right. Raises PutOffError."""
        first_rows = first_rows_in(work, block)
        with _noted(work):
            asked = self._with_found(work, own, first_rows, searches)
            own, looks = await asyncio.gather(asked, asyncio.to_thread(looks_of, first_rows, own))
            return await asyncio.to_thread(suspicion_of, first_rows, own, looks)
        return None

    async def _with_found(self, work: Work, own: OwnRows, first_rows: FirstRows, searches: Searches) -> OwnRows:
        try:
            return await with_found(work, own, first_rows, searches)
        except CannotGoOnError as error:
            _log_refusal(work, error)
            return own


def _log_refusal(work: Work, error: CannotGoOnError) -> None:
    told = "job %s: its first rows can't be compared with the organisation's own: %s"
    log.warning(told, work.job.id, error, extra=as_event("job.not_inspected", job=work.job.id))


@contextmanager
def _noted(work: Work) -> Iterator[None]:
    """An error in the comparison is logged, and the job goes on. Raises FencedError and PutOffError as they are."""
    try:
        yield
    except (FencedError, PutOffError):
        raise
    except Exception:
        told = "job %s: its first rows could not be looked at"
        log.exception(told, work.job.id, extra=as_event("job.not_inspected", job=work.job.id))


def first_rows_in(work: Work, block: RowBlock) -> FirstRows:
    """The first rows, from the first block. Raises as `Work.check`."""
    rows = [*block.rows, *block.ahead][:INSPECTED_ROWS]
    unreadable = {place: reason for place, reason in block.unreadable.items() if place < len(rows)}
    whole = replace(block, rows=rows, numbers=None, lines=None, ahead=[], unreadable=unreadable)
    source, options = work.job.source, work.job.options
    recorded = source.columns or {}
    # by their exact names, with what followed from the option
    asked = recorded if options.columns or options.ignore_extra else {}
    return first_rows_of(work.dataset, whole, work.check(whole), recorded, asked, work.job.created_at)


def first_rows_of(
    dataset: Dataset,
    block: RowBlock,
    checked: CheckedRows,
    recorded: Mapping[str, str | None],
    asked: Mapping[str, str | None],
    at: int,
) -> FirstRows:
    """The first rows in a block. `recorded`: the file's columns, if they are not called as their fields are."""
    wanted = len(block.columns)
    most = max(LEAST_ROWS, MOST_CELLS // max(1, wanted))
    fits: list[Sequence[str]] = []
    misfits: list[Sequence[str]] = []
    for place, row in enumerate(block.rows):
        if place not in block.unreadable:
            (fits if len(row) == wanted else misfits).append(row)
    numbers = checked.numbers[:most]
    good = [block.rows[number - block.first_row] for number in numbers]
    return FirstRows(
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
