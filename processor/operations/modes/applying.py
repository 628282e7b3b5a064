"""Applies blocks of a job in a write mode: rows are checked, written or tried, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import accumulate

from processor.operations.modes.decisions import Decision, Row
from processor.operations.modes.found import Documents
from processor.operations.modes.rows import check, plain_block, rows_of, rules_of
from processor.operations.modes.trying import try_rows
from processor.operations.modes.writing import Writer
from processor.operations.row_errors import error_items
from processor.operations.work import Result, Work
from processor.outcome import Outcome
from processor.validation.rows import CheckedRows
from schemas.messages.blocks import RowBlock
from schemas.messages.progress import RowError


async def apply_mode(work: Work, blocks: Sequence[RowBlock], documents: Documents) -> Result:
    """Apply whole blocks of a job. Raises as `Operation.apply`."""
    rules = rules_of(work)
    rows: list[Row] = []
    checked: list[CheckedRows] = []
    async with work.making:
        for place, block in enumerate(blocks):
            good, absent = check(work, block)
            checked.append(good)
            rows += rows_of(work, place, good, absent)
            await asyncio.sleep(0)  # a block takes milliseconds: heartbeats and commands get their turn in between
    errors = [error for good in checked for error in good.errors]
    reports = error_items(work.prefix, errors)
    if work.dry_run:
        written = await try_rows(work, documents, rules, rows, reports)
    else:
        written = await Writer(work, documents, rules, blocks).write(rows, reports)
    # A file has every field, and a cell of NUL alone is a value in it.
    by_inbox = work.job.source.kind == "topic"
    plain = [plain_block(block) for block in blocks] if written.refused and by_inbox else blocks
    refused = {at: _error(work, plain, rows[at], decision) for at, decision in written.refused.items()}
    await work.record(list(refused.values()))
    ends = list(accumulate(len(good.numbers) for good in checked))
    outcomes = [
        _outcome(block, len(good.errors), range(end - len(good.numbers), end), written.kinds, written.refused)
        for end, block, good in zip(ends, blocks, checked, strict=True)
    ]
    return Result(outcomes, errors + list(refused.values()))


def _error(work: Work, blocks: Sequence[RowBlock], row: Row, decision: Decision) -> RowError:
    block = blocks[row.place]
    if not (decision.taken or decision.missing):
        return work.row_error(block, row.number, decision.reason)
    return work.row_error(block, row.number, decision.reason, *work.dataset.primary_key)


def _outcome(
    block: RowBlock, failed: int, own: Sequence[int], kinds: Mapping[int, str], refused: Mapping[int, Decision]
) -> Outcome:
    counts = dict.fromkeys(("created", "updated", "unchanged", "deleted"), 0)
    for at in own:
        if at in kinds:
            counts[kinds[at]] += 1
    bad = [refused[at] for at in own if at in refused]
    return Outcome(
        applied=sum(counts.values()),
        failed=failed + len(bad),
        last_row=block.last_row,
        conflicting=sum(decision.taken for decision in bad),
        missing=sum(decision.missing for decision in bad),
        **counts,
    )
