"""Upload: each row becomes a document of the dataset's index, under an id that is the same each time.

Where the dataset has a key the id is made of it, so that no two rows of a job can have the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from elasticsearch import AsyncElasticsearch

from control.creation.kinds import BUILT_IN
from processor.elastic.answers import DONE, Answer, all_done
from processor.elastic.documents import document_lines
from processor.elastic.items import BulkItems
from processor.errors import CannotGoOnError
from processor.operations import keyed
from processor.operations.dry_run_keys import make_claims_index
from processor.operations.dry_run_preview import preview_items
from processor.operations.early_refreshes import EarlyRefreshes
from processor.operations.modes.applying import apply_mode
from processor.operations.modes.found import Documents
from processor.operations.modes.receipts import receipt_item
from processor.operations.modes.rollback.remains import left_over
from processor.operations.modes.rollback.undoing import Undoer
from processor.operations.remaining_rows import count_rows, take_out_rows
from processor.operations.row_errors import error_items
from processor.operations.work import Result, Work
from processor.outcome import Outcome
from processor.validation import error_kinds
from processor.validation.rows import CheckedRows
from schemas.messages.blocks import Block, RowBlock, UndoBlock
from schemas.messages.progress import RowError

"""Characters of Elasticsearch's reason that a row error keeps."""


class Upload:
    """Rows into ``<prefix>-data-<dataset>``, with the id ``<job id>:<row>`` or ``<job id>:<hash of the key>``.

    A repeat meets its own document.
    """

    name = "upload"
    kind = BUILT_IN["upload"]

    def __init__(self, undecoded: AsyncElasticsearch | None = None) -> None:
        """`undecoded`: a client whose answers are bytes, for documents that go back as they were."""
        self._documents = Documents(undecoded)
        self._refreshes = EarlyRefreshes(self._documents)

    async def apply(self, work: Work, blocks: Sequence[Block]) -> Result:
        """See Operation. One bulk request for all blocks, their rejected rows included."""
        if work.job.mode is not None and (work.dry_run or work.job.mode != "create"):
            return await apply_mode(work, cast(Sequence[RowBlock], blocks), self._documents)
        checked: list[CheckedRows] = []
        documents: list[Sequence[bytes]] = []
        receipts: list[bytes] = []
        index = await self._index(work)
        # Values thrown away at once leave their memory to the next block's, while the processor's caches have it.
        values_wanted = work.dry_run or self._scope(work) is not None
        async with work.making:
            for block in blocks:
                rows = work.check(cast(RowBlock, block))
                checked.append(rows if values_wanted else replace(rows, stored=[]))
                if index is not None:
                    made = self._items(work, rows)
                    documents.append(made)
                    if work.job.mode is not None:
                        receipts.append(receipt_item(work, cast(RowBlock, block), rows.numbers, made))
                del rows
                # A block takes milliseconds: heartbeats and commands get their turn in between.
                await asyncio.sleep(0)
        errors = [error for rows in checked for error in rows.errors]
        items = BulkItems(*documents)
        answers = await work.sink.send(BulkItems(items, receipts, error_items(work.prefix, errors)), work.gate, index)
        _require_recorded(answers[len(items) :])
        judged = await self._judge(work, index, checked, answers[: len(items)])
        refused = self._refused(work, cast(Sequence[RowBlock], blocks), checked, judged)
        reports = error_items(work.prefix, [error for _, error in refused])
        if work.dry_run:
            bad = {error.row for _, error in refused}
            for block, rows in zip(blocks, checked, strict=True):
                reports += preview_items(work, block, rows, bad)
        receipts = self._corrected_receipts(work, cast(Sequence[RowBlock], blocks), checked, items, refused)
        if reports := receipts + reports:
            _require_recorded(await work.sink.send(reports, work.gate))
        outcomes = []
        for place, (block, rows) in enumerate(zip(cast(Sequence[RowBlock], blocks), checked, strict=True)):
            own = [error for at, error in refused if at == place]
            failed = len(rows.errors) + len(own)
            outcome = Outcome(applied=len(block.rows) - failed, failed=failed, last_row=block.last_row)
            if work.job.mode is not None:
                outcome = replace(outcome, created=outcome.applied, conflicting=sum(map(_conflicts, own)))
            outcomes.append(outcome)
        return Result(outcomes, errors + [error for _, error in refused])

    async def undo(self, work: Work, blocks: Sequence[Block]) -> Result:
        """See Operation."""
        outcomes = await self._undo(work, cast(Sequence[UndoBlock], blocks))
        self._refreshes.given_back(work, sum(outcome.undone for outcome in outcomes))
        return Result(outcomes)

    async def _undo(self, work: Work, blocks: Sequence[UndoBlock]) -> list[Outcome]:
        """Unless there is a key, ids follow from the row numbers, and nothing has to be searched."""
        index = work.data_index
        if work.job.mode is not None:
            return await Undoer(work, self._documents).undo(blocks)
        ranges = [(block.first_row, block.last_row) for block in blocks]
        if (scope := self._scope(work)) is not None:
            return [
                Outcome(undone=await take_out_rows(work, index, scope, first, last), last_row=last)
                for first, last in ranges
            ]
        head = f'{{"delete":{{"_id":"{work.job.id}:'
        items = [f'{head}{row}"}}}}'.encode() for first, last in ranges for row in range(first, last + 1)]
        answers = iter(await work.sink.send(items, work.gate, index))
        outcomes = []
        for first, last in ranges:
            deleted = 0
            for row in range(first, last + 1):
                answer = next(answers)
                if not answer.ok and answer.status != 404:
                    raise CannotGoOnError(f"row {row} can't be taken out: {answer.error}")
                deleted += answer.ok
            outcomes.append(Outcome(undone=deleted, last_row=last))
        return outcomes

    async def left_over(self, work: Work) -> tuple[int, int]:
        """See Operation."""
        if work.job.mode is not None:
            return await left_over(work, self._documents)
        return await count_rows(work, work.data_index, self._scope(work))

    def _scope(self, work: Work) -> str | None:
        """What a key is unique in, and ids begin with; None: the dataset has no key."""
        if work.job.mode is not None:
            return work.job.organisation
        return work.job.id if work.dataset.primary_key else None

    async def _index(self, work: Work) -> str | None:
        """Where good rows leave a document; None: nowhere. In a dry run their keys alone do."""
        if not work.dry_run:
            return work.data_index
        return None if self._scope(work) is None else await make_claims_index(work)

    def _items(self, work: Work, rows: CheckedRows) -> Sequence[bytes]:
        """An action line and a document line for each good row."""
        scope, stored = self._scope(work), rows.stored
        ids = None if scope is None else keyed.keys_of(work, scope, [rows]).ids
        columns = rows.columns
        if work.dry_run:
            columns, stored = (), []
        return document_lines(work.job.id, work.job.organisation, columns, rows.numbers, stored, ids)

    async def _judge(
        self, work: Work, index: str | None, checked: Sequence[CheckedRows], answers: Sequence[Answer]
    ) -> Sequence[Answer]:
        """The answers to the good rows, with those set right that met a document of the same id."""
        scope, dry_run = self._scope(work), work.dry_run
        if all_done(answers) and not dry_run:
            return answers
        if scope is None:  # ids are the job's own: what exists is the job's own
            return [DONE if answer.status == 409 else answer for answer in answers]
        if index is None or not (dry_run or any(answer.status == 409 for answer in answers)):
            return answers
        keys = keyed.keys_of(work, scope, checked)
        judged = await keyed.judge(work, index, keys, answers)
        if dry_run and scope != work.job.id:  # other jobs may have written such keys
            judged = await keyed.refuse_existing(work, work.data_index, keys, judged)
        return judged

    def _corrected_receipts(
        self,
        work: Work,
        blocks: Sequence[RowBlock],
        checked: Sequence[CheckedRows],
        items: Sequence[bytes],
        refused: Sequence[tuple[int, RowError]],
    ) -> list[bytes]:
        """The receipts of blocks with rows that were refused, without those rows."""
        if work.job.mode is None or not refused:
            return []
        bad, left, receipts = {error.row for _, error in refused}, iter(items), []
        places = {place for place, _ in refused}
        for place, (block, rows) in enumerate(zip(blocks, checked, strict=True)):
            own = [(number, item) for number, item in zip(rows.numbers, left, strict=False) if number not in bad]
            if place in places:
                receipts.append(receipt_item(work, block, [row for row, _ in own], [item for _, item in own]))
        return receipts

    def _refused(
        self, work: Work, blocks: Sequence[RowBlock], checked: Sequence[CheckedRows], answers: Sequence[Answer]
    ) -> list[tuple[int, RowError]]:
        """The rows that were not stored, each with its block's index."""
        if all_done(answers) or all(answer.ok for answer in answers):
            return []
        left = iter(answers)
        return [
            (index, _refused_row(work, block, number, answer))
            for index, (block, rows) in enumerate(zip(blocks, checked, strict=True))
            for number, answer in zip(rows.numbers, left, strict=False)
            if not answer.ok
        ]


def _conflicts(error: RowError) -> bool:
    """Whether the row was refused for its key, rather than by Elasticsearch itself."""
    return error.column is not None


def _require_recorded(answers: Sequence[Answer]) -> None:
    for answer in answers:
        if not answer.ok:
            raise CannotGoOnError(f"row errors can't be recorded in Elasticsearch: {answer.error}")


def _refused_row(work: Work, block: RowBlock, number: int, answer: Answer) -> RowError:
    """The error of a row that passed its checks, but that Elasticsearch would not take."""
    if answer.status == 409:
        return work.row_error(block, number, answer.error, *work.dataset.primary_key)
    return work.row_error(block, number, error_kinds.refused(answer.error))
