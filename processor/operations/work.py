"""What an operation is given to work with, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from processor.elastic.bulk import BulkSink, Gate
from processor.elastic.reading import search
from processor.errors import CannotGoOnError
from processor.operations.row_errors import error_items
from processor.outcome import Outcome
from processor.validation.columns import BadValueError
from processor.validation.rows import CheckedRows, Problem, filling, row_checker, row_error
from schemas.descriptors.datasets import Dataset
from schemas.indices import data_index, index_name
from schemas.job import Job
from schemas.messages.blocks import RowBlock
from schemas.messages.progress import RowError


@dataclass(frozen=True, slots=True)
class Work:
    """What an operation is given beside its blocks."""

    job: Job
    dataset: Dataset
    prefix: str
    """First part of every index's name."""
    sink: BulkSink
    gate: Gate
    """Call this right before any write; it raises FencedError when the work is void."""
    at: int
    """Milliseconds since 1970, for what is recorded."""
    own_index: str | None = None
    """The index of the dataset that the job writes into; None: its first one."""
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Hold this while making a request from blocks: the first of several requests then goes out before the next is
    begun."""
    most_characters: int | None = None
    """Characters of a value, at most; None: as many as a block can hold."""
    trouble: Callable[[str], AbstractContextManager[object]] = nullcontext
    """Shows in the job's lanes what keeps it from going on, as a sentence, as long as the context lasts."""

    @property
    def dry_run(self) -> bool:
        """Whether every row is to be checked, and nothing to be written but row errors."""
        return self.job.options.dry_run

    @property
    def data_index(self) -> str:
        """The index of the job's dataset that it writes into, from its first row to the end of its rollback."""
        return self.own_index or data_index(self.prefix, self.dataset.name)

    def index(self, name: str) -> str:
        """The full name of an operation's own index; Elasticsearch makes it when the first document is written."""
        return index_name(self.prefix, name)

    def check(self, block: RowBlock) -> CheckedRows:
        """A block's rows against the dataset: the good ones as they are to be stored, and the errors of the others.

        Raises:
            CannotGoOnError: the block has a column that the dataset has not, or a text that every row is to have does
                not fit its field.
        """
        fills = self.dataset.fills(self.job.options.set, self.job.created_at)
        try:
            checker = row_checker(self.dataset, tuple(block.columns), fills)
        except KeyError as error:
            raise CannotGoOnError(
                f"block {block.block} has a column {error} that dataset {self.dataset.name} has not"
            ) from error
        except BadValueError as error:
            raise CannotGoOnError(str(error)) from error
        return checker.check(block, self.job.organisation, self.at, self.job.options.raw, self.most_characters)

    def constants(self, fills: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Field -> the value to store, of fields with a text of their own.

        Raises:
            CannotGoOnError: a text does not fit its field.
        """
        fields = {field.name: field for field in self.dataset.fields}
        try:
            return {name: filling(fields[name], text) for name, text in fills}
        except BadValueError as error:
            raise CannotGoOnError(str(error)) from error

    def row_error(self, block: RowBlock, number: int, reason: str, *columns: str) -> RowError:
        """The error of the row with this `number`; `columns` are those that are to blame, if any are.

        It is for `record`, and for the `Result`.
        """
        place = block.row_numbers.index(number)
        cells = dict(zip(block.columns, block.rows[place], strict=True)) if columns else {}
        column = ", ".join(columns) or None
        value = ", ".join(cells.get(name, "") for name in columns) if columns else None
        return row_error(block, place, Problem(reason, column, value), self.job.organisation, self.at)

    async def record(self, errors: Sequence[RowError]) -> None:
        """Keep row errors where people find them; a repeat records each once. Raises as `send`."""
        await self.send(error_items(self.prefix, errors))

    async def find(self, index: str, *filters: dict[str, Any]) -> list[dict[str, Any]]:
        """Documents of `index` that pass all `filters` now, 10,000 at most; of an index that is not there, none."""
        client, query = self.sink.client, {"bool": {"filter": list(filters)}}
        await self.sink.ask(lambda: client.indices.refresh(index=index, ignore_unavailable=True), self.gate)
        found = await search(self.sink, self.gate, index, query=query, size=10_000)
        hits: list[dict[str, Any]] = found["hits"]["hits"]
        return hits

    async def send(self, items: Sequence[bytes], excused: int | None = None) -> None:
        """Have bulk items carried out, each as `bulk_item` makes them; a refusal with the status `excused` is fine.

        Raises:
            CannotGoOnError: an item was refused otherwise.
        """
        for answer in await self.sink.send(items, self.gate):
            if not answer.ok and answer.status != excused:
                raise CannotGoOnError(f"Elasticsearch refuses a change: {answer.error}")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of some blocks: an outcome each, in order, and all the rows that were not applied."""

    outcomes: list[Outcome]
    errors: list[RowError] = field(default_factory=list)
