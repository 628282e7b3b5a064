"""What an operation is given to work with: made for each batch of blocks, and for each step done once for a job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from processor.elastic.bulk import BulkSink, Gate
from processor.elastic.generations import Generations
from processor.errors import CannotGoOnError
from processor.gates import Gates
from processor.lanes.lane import Lane
from processor.operations.base import Operation
from processor.operations.work import Work
from schemas.descriptors.datasets import Dataset
from schemas.job import Job


@dataclass(frozen=True, slots=True)
class WorkFactory:
    """The operations and datasets that this worker has, by name, and what every `Work` is made of."""

    operations: Mapping[str, Operation]
    datasets: Mapping[str, Dataset]
    prefix: str
    sink: BulkSink
    gates: Gates
    generations: Generations
    now_ms: Callable[[], int]
    most_characters: Callable[[str], int | None] = lambda _: None
    """Organisation -> characters of a value in its rows, at most; None: as many as a block can hold."""
    troubles: Callable[[Job, str], AbstractContextManager[object]] = lambda *_: nullcontext()
    """Shows what keeps a job from going on as long as the context lasts."""
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Shared by all batches: the first of several requests goes out before the next is made."""

    async def for_blocks(self, job: Job, lanes: Collection[Lane]) -> tuple[Operation, Work]:
        """The job's operation, and the work of applying or undoing blocks of these lanes.

        Raises:
            CannotGoOnError: this worker lacks the operation or the dataset; another version of it, or other settings,
                may have it; or Elasticsearch refuses to tell of the dataset's indices.
            FencedError: from the gate.
        """
        operation, work = await self._work(job, self.gates.of_blocks(job, lanes))
        most = self.most_characters(job.organisation)
        return operation, replace(work, making=self.making, most_characters=most)

    async def for_job_step(self, job: Job) -> tuple[Operation, Work]:
        """The job's operation, and the work of what is done once for the job in its epoch. Raises as `for_blocks`."""
        return await self._work(job, self.gates.of_job_step(job))

    async def _work(self, job: Job, gate: Gate) -> tuple[Operation, Work]:
        operation, dataset = self._parts_of(job)
        index = await self.generations.of(job, gate, self.sink.of(job.id, job.dataset))
        trouble, sink = partial(self.troubles, job), self.sink.of(job.id, job.dataset, index)
        return operation, Work(job, dataset, self.prefix, sink, gate, self.now_ms(), index, trouble=trouble)

    def makes_file(self, job: Job) -> bool:
        """Whether the job's operation makes a file; no, where this worker does not have that operation."""
        operation = self.operations.get(job.operation)
        return operation is not None and operation.kind.makes_file

    def _parts_of(self, job: Job) -> tuple[Operation, Dataset]:
        operation, dataset = self.operations.get(job.operation), self.datasets.get(job.dataset)
        if operation is None:
            raise CannotGoOnError(
                f"a worker has no operation {job.operation!r} (it has {', '.join(sorted(self.operations))}): give all "
                f"workers the same version and the same SLUICE_OPERATIONS, then resume"
            )
        if dataset is None:
            raise CannotGoOnError(
                f"a worker has no dataset {job.dataset!r} (it has {', '.join(sorted(self.datasets))}): give all "
                f"workers the same version and the same SLUICE_DATASETS_FOLDER, then resume"
            )
        return operation, dataset
