"""Upload: each row becomes a document of the dataset's index, under an id that is the same each time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from control.admission import Kind
from processor.bulk import DONE, Answer
from processor.documents import document_lines
from processor.errors import CannotGoOnError
from processor.lane import Outcome
from processor.operations.base import Result, Work
from processor.rows import CheckedRows, row_checker
from schemas.blocks import Block, RowBlock, UndoBlock
from schemas.indices import data_index, index_name
from schemas.progress import RowError

CUT = 500
"""What Elasticsearch says of a row is cut at so many characters."""

_encode = msgspec.json.Encoder().encode


class Upload:
    """Rows into ``<prefix>-data-<dataset>``, with the id ``<job id>:<row>``: a repeat meets its own document."""

    name = "upload"
    kind = Kind(sources=frozenset({"file"}))

    async def apply(self, work: Work, blocks: Sequence[Block]) -> Result:
        """See Operation. One bulk request for all blocks, their rejected rows included."""
        checked: list[CheckedRows] = []
        items: list[bytes] = []
        for block in blocks:
            rows = self._check(work, cast(RowBlock, block))
            checked.append(rows)
            if not work.job.options.dry_run:
                items += self._items(work, rows)
            # A block takes milliseconds: heartbeats and commands get their turn in between.
            await asyncio.sleep(0)
        errors = [error for rows in checked for error in rows.errors]
        answers: Sequence[Answer] = await work.sink.send(items + error_items(work, errors), work.gate)
        answers = await self._judge(work, checked, answers)
        refused = self._refused(work, cast(Sequence[RowBlock], blocks), checked, answers)
        if refused:
            _require_recorded(await work.sink.send(error_items(work, [error for _, error in refused]), work.gate))
        outcomes = []
        for index, (block, rows) in enumerate(zip(cast(Sequence[RowBlock], blocks), checked, strict=True)):
            failed = len(rows.errors) + sum(1 for at, _ in refused if at == index)
            outcomes.append(
                Outcome(applied=len(block.rows) - failed, failed=failed, last_row=block.first_row + len(block.rows) - 1)
            )
        return Result(outcomes, errors + [error for _, error in refused])

    async def undo(self, work: Work, blocks: Sequence[Block]) -> Result:
        """See Operation. Ids follow from the row numbers, so nothing has to be searched."""
        index = data_index(work.prefix, work.dataset.name)
        head = f'{{"delete":{{"_index":"{index}","_id":"{work.job.id}:'
        ranges = [(block.first_row, cast(UndoBlock, block).last_row) for block in blocks]
        items = [f'{head}{row}"}}}}'.encode() for first, last in ranges for row in range(first, last + 1)]
        answers = iter(await work.sink.send(items, work.gate))
        outcomes = []
        for first, last in ranges:
            deleted = 0
            for row in range(first, last + 1):
                answer = next(answers)
                if not answer.ok and answer.status != 404:
                    raise CannotGoOnError(f"row {row} can't be taken out: {answer.error}")
                deleted += answer.ok
            outcomes.append(Outcome(undone=deleted, last_row=last))
        return Result(outcomes)

    async def left_over(self, work: Work) -> tuple[int, int]:
        """See Operation."""
        index = data_index(work.prefix, work.dataset.name)
        sink = work.sink
        await sink.ask(lambda: sink.client.indices.refresh(index=index), work.gate)
        found = await sink.ask(
            lambda: sink.client.search(
                index=index,
                size=0,
                track_total_hits=True,
                query={"term": {"sluice.job_id": work.job.id}},
                aggs={"last": {"max": {"field": "sluice.row_number"}}},
            ),
            work.gate,
        )
        body = found.body
        return int(body["hits"]["total"]["value"]), int(body["aggregations"]["last"]["value"] or 0)

    def _check(self, work: Work, block: RowBlock) -> CheckedRows:
        try:
            checker = row_checker(work.dataset, tuple(block.columns))
        except KeyError as error:
            raise CannotGoOnError(
                f"block {block.block} has a column {error} that dataset {work.dataset.name} has not"
            ) from error
        return checker.check(block, work.job.organisation, work.at)

    def _items(self, work: Work, rows: CheckedRows) -> list[bytes]:
        """An action line and a document line for each good row."""
        index = data_index(work.prefix, work.dataset.name)
        return document_lines(index, work.job.id, work.job.organisation, rows.columns, rows.numbers, rows.values)

    async def _judge(self, work: Work, checked: Sequence[CheckedRows], answers: Sequence[Answer]) -> Sequence[Answer]:
        """The answers, with those made good that a repeat gets: under our ids, what exists is our own."""
        rows = 0 if work.job.options.dry_run else sum(len(item.numbers) for item in checked)
        return [DONE if answer.status == 409 and place < rows else answer for place, answer in enumerate(answers)]

    def _refused(
        self, work: Work, blocks: Sequence[RowBlock], checked: Sequence[CheckedRows], answers: Sequence[Answer]
    ) -> list[tuple[int, RowError]]:
        """The rows that were not stored, each with its block's index."""
        if all([answer.status < 300 for answer in answers]):  # noqa: C419
            return []
        position = 0
        refused = []
        for index, (block, rows) in enumerate(zip(blocks, checked, strict=True)):
            if work.job.options.dry_run:
                break
            for number in rows.numbers:
                answer = answers[position]
                position += 1
                if not answer.ok:
                    refused.append((index, refused_row(work, block, number, answer)))
        _require_recorded(answers[position:])
        return refused


def _require_recorded(answers: Sequence[Answer]) -> None:
    for answer in answers:
        if not answer.ok:
            raise CannotGoOnError(f"row errors can't be recorded in Elasticsearch: {answer.error}")


def refused_row(work: Work, block: RowBlock, number: int, answer: Answer) -> RowError:
    """The error of a row that passed its checks, but that Elasticsearch would not take."""
    values = block.rows[number - block.first_row]
    return RowError(
        job_id=block.job_id,
        row=number,
        line=block.line_of(number - block.first_row) if block.first_line else 0,
        reason=answer.error if answer.status == 409 else f"Elasticsearch refused the row: {answer.error[:CUT]}",
        columns=block.columns,
        values=values,
        organisation=work.job.organisation,
        at=work.at,
    )


def error_items(work: Work, errors: Sequence[RowError]) -> list[bytes]:
    """Index actions that record row errors under fixed ids, so that a repeat records each once."""
    return [error_item(work.prefix, error) for error in errors]


def error_item(prefix: str, error: RowError) -> bytes:
    """The bulk lines of one row error."""
    document: dict[str, Any] = {"column": None, "value": None, **msgspec.to_builtins(error)}
    return b'{"index":{"_index":"%b","_id":"%b:%d"}}\n%b' % (
        index_name(prefix, "errors").encode(),
        error.job_id.encode(),
        error.row,
        _encode({**document, "organisation": error.organisation}),
    )
