"""Upload: each row becomes a document of the dataset's index, under an id that is the same each time.

Where the dataset has a key the id is made of it, so that no two rows of a job can have the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from control.kinds import BUILT_IN
from processor.elastic.bulk import DONE, Answer
from processor.elastic.documents import bulk_item, document_lines
from processor.errors import CannotGoOnError
from processor.operations import keyed
from processor.operations.dry_run_keys import make_claims_index
from processor.operations.dry_run_preview import preview_items
from processor.operations.work import Result, Work
from processor.outcome import Outcome
from processor.validation.columns import BadValueError
from processor.validation.rows import VALUE_CHARACTERS, CheckedRows, own_values, row_checker
from schemas.blocks import Block, RowBlock, UndoBlock
from schemas.indices import data_index, index_name
from schemas.progress import RowError

CUT = 500
"""What Elasticsearch says of a row is cut at so many characters."""

_encode = msgspec.json.Encoder().encode


class Upload:
    """Rows into ``<prefix>-data-<dataset>``, with the id ``<job id>:<row>`` or ``<job id>:<hash of the key>``.

    A repeat meets its own document.
    """

    name = "upload"
    kind = BUILT_IN["upload"]

    async def apply(self, work: Work, blocks: Sequence[Block]) -> Result:
        """See Operation. One bulk request for all blocks, their rejected rows included."""
        checked: list[CheckedRows] = []
        items: list[bytes] = []
        index = await self._index(work)
        async with work.making:
            for block in blocks:
                rows = self._check(work, cast(RowBlock, block))
                checked.append(rows)
                if index is not None:
                    items += self._items(work, index, rows)
                # A block takes milliseconds: heartbeats and commands get their turn in between.
                await asyncio.sleep(0)
        errors = [error for rows in checked for error in rows.errors]
        answers = await work.sink.send(items + error_items(work, errors), work.gate)
        _require_recorded(answers[len(items) :])
        judged = await self._judge(work, index, checked, answers[: len(items)])
        refused = self._refused(work, cast(Sequence[RowBlock], blocks), checked, judged)
        reports = error_items(work, [error for _, error in refused])
        if work.job.options.dry_run:
            bad = {error.row for _, error in refused}
            for block, rows in zip(blocks, checked, strict=True):
                reports += preview_items(work, block, rows, bad)
        if reports:
            _require_recorded(await work.sink.send(reports, work.gate))
        outcomes = []
        for place, (block, rows) in enumerate(zip(cast(Sequence[RowBlock], blocks), checked, strict=True)):
            failed = len(rows.errors) + sum(1 for at, _ in refused if at == place)
            outcomes.append(Outcome(applied=len(block.rows) - failed, failed=failed, last_row=block.last_row))
        return Result(outcomes, errors + [error for _, error in refused])

    async def undo(self, work: Work, blocks: Sequence[Block]) -> Result:
        """See Operation. Unless there is a key, ids follow from the row numbers, and nothing has to be searched."""
        index = data_index(work.prefix, work.dataset.name)
        ranges = [(block.first_row, cast(UndoBlock, block).last_row) for block in blocks]
        if self._scope(work) is not None:
            return Result(
                [
                    Outcome(undone=await keyed.undo_rows(work, index, first, last), last_row=last)
                    for first, last in ranges
                ]
            )
        head = f'{{"delete":{{"_index":"{index}","_id":"{work.job.id}:'
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

    async def finish(self, work: Work) -> None:
        """See Operation. There is no file."""

    async def discard(self, work: Work) -> int:
        """See Operation. There is no file."""
        return 0

    async def keep(self, work: Work) -> None:
        """See Operation. There is no file."""

    def _check(self, work: Work, block: RowBlock) -> CheckedRows:
        fills = work.dataset.fills(work.job.options.set, work.job.created_at)
        try:
            checker = row_checker(work.dataset, tuple(block.columns), fills)
        except KeyError as error:
            raise CannotGoOnError(
                f"block {block.block} has a column {error} that dataset {work.dataset.name} has not"
            ) from error
        except BadValueError as error:
            raise CannotGoOnError(str(error)) from error
        return checker.check(block, work.job.organisation, work.at, work.job.options.raw)

    def _scope(self, work: Work) -> str | None:
        """What a key is unique in, and ids begin with; None: the dataset has no key."""
        return work.job.id if work.dataset.primary_key else None

    async def _index(self, work: Work) -> str | None:
        """Where good rows leave a document; None: nowhere. In a dry run their keys alone do."""
        if not work.job.options.dry_run:
            return data_index(work.prefix, work.dataset.name)
        return None if self._scope(work) is None else await make_claims_index(work)

    def _items(self, work: Work, index: str, rows: CheckedRows) -> list[bytes]:
        """An action line and a document line for each good row."""
        scope, stored = self._scope(work), rows.stored
        ids = None if scope is None else keyed.keys_of(work, scope, [rows]).ids
        columns = rows.columns
        if work.job.options.dry_run:
            columns, stored = (), []
        return document_lines(index, work.job.id, work.job.organisation, columns, rows.numbers, stored, ids)

    async def _judge(
        self, work: Work, index: str | None, checked: Sequence[CheckedRows], answers: Sequence[Answer]
    ) -> Sequence[Answer]:
        """The answers to the good rows, with those set right that met a document of the same id."""
        scope, dry_run = self._scope(work), work.job.options.dry_run
        if scope is None:  # under our ids, what exists is our own
            return [DONE if answer.status == 409 else answer for answer in answers]
        if index is None or not (dry_run or any(answer.status == 409 for answer in answers)):
            return answers
        keys = keyed.keys_of(work, scope, checked)
        judged = await keyed.judge(work, index, keys, answers)
        if dry_run and scope != work.job.id:  # other jobs may have written such keys
            judged = await keyed.refuse_existing(work, data_index(work.prefix, work.dataset.name), keys, judged)
        return judged

    def _refused(
        self, work: Work, blocks: Sequence[RowBlock], checked: Sequence[CheckedRows], answers: Sequence[Answer]
    ) -> list[tuple[int, RowError]]:
        """The rows that were not stored, each with its block's index."""
        if all([answer.status < 300 for answer in answers]):  # noqa: C419
            return []
        left = iter(answers)
        return [
            (index, refused_row(work, block, number, answer))
            for index, (block, rows) in enumerate(zip(blocks, checked, strict=True))
            for number, answer in zip(rows.numbers, left, strict=False)
            if not answer.ok
        ]


def _require_recorded(answers: Sequence[Answer]) -> None:
    for answer in answers:
        if not answer.ok:
            raise CannotGoOnError(f"row errors can't be recorded in Elasticsearch: {answer.error}")


def refused_row(work: Work, block: RowBlock, number: int, answer: Answer) -> RowError:
    """The error of a row that passed its checks, but that Elasticsearch would not take."""
    index = block.row_numbers.index(number)
    named = dict(zip(block.columns, block.rows[index], strict=True))
    key = work.dataset.primary_key if answer.status == 409 else ()
    columns, values = own_values(block, index)
    return RowError(
        job_id=block.job_id,
        row=number,
        line=block.line_of(index) if block.first_line else 0,
        column=", ".join(key) or None,
        value=", ".join(named.get(name, "") for name in key)[:VALUE_CHARACTERS] if key else None,
        reason=answer.error if answer.status == 409 else f"Elasticsearch refused the row: {answer.error[:CUT]}",
        columns=columns,
        values=values,
        guarded=block.guarded,
        organisation=work.job.organisation,
        at=work.at,
    )


def error_items(work: Work, errors: Sequence[RowError]) -> list[bytes]:
    """Index actions that record row errors under fixed ids, so that a repeat records each once."""
    return [error_item(work.prefix, error) for error in errors]


def error_item(prefix: str, error: RowError) -> bytes:
    """The bulk lines that record one row error, or take out that of a row that is corrected."""
    if error.corrected:
        return bulk_item("delete", index_name(prefix, "errors"), f"{error.job_id}:{error.row}")
    document: dict[str, Any] = {"column": None, "value": None, **msgspec.to_builtins(error)}
    return b'{"index":{"_index":"%b","_id":"%b:%d"}}\n%b' % (
        index_name(prefix, "errors").encode(),
        error.job_id.encode(),
        error.row,
        _encode({**document, "organisation": error.organisation}),
    )
