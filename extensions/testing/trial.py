"""An operation is tried: rows become blocks, and blocks are applied and taken out again, without a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from extensions.testing.stores import Contents, MemoryStore, Store
from extensions.testing.wire import CrashError, WatchedClient, Wire
from processor.elastic.bulk import BulkSink
from processor.elastic.documents import bulk_item
from processor.operations.base import Operation
from processor.operations.work import Result, Work
from runtime.datasets import load_datasets
from schemas.descriptors.datasets import Dataset
from schemas.descriptors.modes import Mode
from schemas.indices import index_name
from schemas.job import Job, Options, State
from schemas.messages.blocks import RowBlock, UndoBlock

JOB = "trial-1"
AT = 1_800_000_000_000

Row = Mapping[str, str]
"""Column -> cell, as text; columns that are left out are empty."""


@dataclass(frozen=True)
class Case:
    """What an operation is tried with."""

    dataset: Dataset | str
    """A name is that of a dataset which comes with Sluice."""
    good: Sequence[Row]
    """Four to 15 rows that the operation takes."""
    bad: Row
    """A row that it must refuse."""
    before: Contents = field(default_factory=dict)
    """Documents that are there before: name of an index without its prefix, e.g. ``data-teams`` -> id -> document."""
    organisation: str = "acme"
    mode: Mode | None = None
    """The mode of an upload, if the dataset's key reaches the organisation."""

    @property
    def described(self) -> Dataset:
        """The dataset itself."""
        return load_datasets()[self.dataset] if isinstance(self.dataset, str) else self.dataset


class Trial:
    """Runs an operation against the documents of a store."""

    def __init__(self, operation: Operation, case: Case, store: Store | None = None, every: int = 1) -> None:
        """No `store`: in memory. Calls are broken off at each point, or at one of so many as `every` says."""
        self.operation = operation
        self.case = case
        self.dataset = case.described
        self.store: Store = store if store is not None else MemoryStore(self.dataset)
        self._every = every
        self.wire = Wire()

    async def begin(self) -> None:
        """Nothing is there but what the case has before."""
        await self.store.clear()
        lines = [
            bulk_item("index", index_name(self.store.prefix, name), key, document)
            for name, documents in self.case.before.items()
            for key, document in documents.items()
        ]
        if lines:
            answer = await self.store.client.bulk(operations=b"\n".join(lines) + b"\n")
            assert not answer["errors"], f"the documents that are to be there before are refused: {answer['items']}"

    def points(self, number: int) -> range:
        """Behind how many of a `number` of changes, or of requests, a call is broken off."""
        return range(self._every // 2, number, self._every)

    def block(self, rows: Sequence[Row], numbers: Sequence[int], job_id: str = JOB, number: int = 0) -> RowBlock:
        """A block of rows with these row numbers."""
        consecutive = list(numbers) == list(range(numbers[0], numbers[0] + len(rows)))
        return RowBlock(
            job_id=job_id,
            block=number,
            first_row=numbers[0],
            columns=list(self.dataset.columns),
            rows=[[row.get(name, "") for name in self.dataset.columns] for row in rows],
            numbers=None if consecutive else list(numbers),
            first_line=numbers[0] + 1,
            lines=None if consecutive else [row + 1 for row in numbers],
        )

    def blocks(self, rows: Sequence[Row], job_id: str = JOB) -> list[RowBlock]:
        """Rows from number 1 on, in two blocks."""
        half = (len(rows) + 1) // 2
        numbers = range(1, len(rows) + 1)
        return [
            self.block(rows[:half], numbers[:half], job_id, 0),
            self.block(rows[half:], numbers[half:], job_id, 1),
        ]

    async def apply(self, blocks: Sequence[RowBlock], *, dry_run: bool = False, wire: Wire | None = None) -> Result:
        """Apply blocks of one job, together.

        Raises:
            CrashError: the wire has broken, as it was to.
        """
        work = self.work(blocks[0].job_id, dry_run=dry_run, wire=wire)
        return cast(Result, await self._called(self.operation.apply(work, blocks)))

    async def undo(self, first: int, last: int, job_id: str = JOB, wire: Wire | None = None) -> Result:
        """Take out a range of rows. Raises as `apply`."""
        block = UndoBlock(job_id=job_id, block=0, first_row=first, last_row=last, run=1)
        work = self.work(job_id, phase="undo", wire=wire)
        return cast(Result, await self._called(self.operation.undo(work, [block])))

    async def left_over(self, job_id: str = JOB, wire: Wire | None = None) -> tuple[int, int]:
        """How many rows of the job are still there, and the highest row number."""
        work = self.work(job_id, phase="undo", wire=wire)
        return cast(tuple[int, int], await self._called(self.operation.left_over(work)))

    async def contents(self) -> Contents:
        """What is there now, besides the reports that a dry run may write as well."""
        found = await self.store.contents()
        return {name: documents for name, documents in found.items() if not _is_report(name)}

    async def errors(self) -> dict[str, dict[str, Any]]:
        """The row errors that are recorded: id -> document."""
        return (await self.store.contents()).get("errors", {})

    def work(self, job_id: str = JOB, *, phase: str = "apply", dry_run: bool = False, wire: Wire | None = None) -> Work:
        """What a worker gives an operation."""
        self.wire = wire if wire is not None else Wire()
        job = Job(
            id=job_id,
            operation=self.operation.name,
            dataset=self.dataset.name,
            organisation=self.case.organisation,
            created_by="trial",
            state=State.RUNNING if phase == "apply" else State.ROLLING_BACK,
            created_at=AT,
            command_offset=0,
            partitions=1,
            phase=cast(Any, phase),
            options=Options(dry_run=dry_run),
            mode=self.case.mode,
        )
        sink = BulkSink(cast(Any, WatchedClient(self.store.client, self.wire)))
        return Work(job, self.dataset, self.store.prefix, sink, self.wire.gate, AT)

    async def _called(self, call: Any) -> Any:
        try:
            return await call
        except CrashError:
            assert self.wire.refused is None, self.wire.refused
            raise


def _is_report(index: str) -> bool:
    """Row errors, what a dry run shows of its rows, the keys it has met, and what is kept for a rollback."""
    return index in ("errors", "previews", "changes", "images", "undone") or index.startswith("claims-")
