"""The rows of blocks, checked as their job's mode asks for: what may be left out, and which columns count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgspec

from processor.errors import CannotGoOnError
from processor.operations import keyed
from processor.operations.modes.decisions import Row, Rules
from processor.operations.work import Work
from processor.validation import error_kinds
from processor.validation.columns import BadValueError
from processor.validation.rows import CheckedRows, row_checker
from schemas.descriptors.datasets import ERROR_COLUMNS, Dataset
from schemas.descriptors.modes import MERGING, Mode
from schemas.messages.blocks import ABSENT, PASSED_OVER, RowBlock


def rules_of(work: Work) -> Rules:
    """How the rows of a job in a mode are written."""
    job, dataset = work.job, work.dataset
    assert job.mode is not None
    defaults = work.constants(dataset.fills({}, job.created_at)) if job.mode in MERGING else {}
    return Rules(
        mode=job.mode,
        job_id=job.id,
        organisation=job.organisation,
        clears=job.options.empty == "clear",
        defaults=defaults,
        required=tuple(field.name for field in dataset.fields if field.required),
    )


def check(work: Work, block: RowBlock) -> tuple[CheckedRows, list[frozenset[str]] | None]:
    """A block's rows, and for each good one the fields that it does not have; None: all have all columns.

    Raises:
        CannotGoOnError: as `Work.check`.
    """
    job, mode = work.job, work.job.mode
    assert mode is not None
    if mode not in MERGING and mode != "delete":
        return work.check(block), None
    if mode == "delete":
        key = (*work.dataset.primary_key, *ERROR_COLUMNS)
        block = msgspec.structs.replace(block, columns=[name if name in key else PASSED_OVER for name in block.columns])
    absent = None
    if job.source.kind == "topic":
        absent = _lacking(block)
        block = plain_block(block)
    dataset = _lenient(work.dataset, mode, job.options.empty == "keep" or absent is not None)
    fills = tuple((name, text) for name, text in job.options.set.items() if mode in MERGING or name in key_of(work))
    try:
        checker = row_checker(dataset, tuple(block.columns), fills)
    except (KeyError, BadValueError) as error:
        raise CannotGoOnError(f"block {block.block} can't be read: {error}") from error
    rows = checker.check(block, job.organisation, work.at, job.options.raw, work.most_characters)
    if absent is None:
        return rows, None
    by_number = dict(zip(block.row_numbers, absent, strict=True))
    if job.options.empty == "clear":
        rows = _without_cleared(work, block, rows, by_number)
    return rows, [by_number[number] for number in rows.numbers]


def _without_cleared(
    work: Work, block: RowBlock, rows: CheckedRows, absent: Mapping[int, frozenset[str]]
) -> CheckedRows:
    """The rows without those that take a value out which each document has to have; they become row errors."""
    required = [field.name for field in work.dataset.fields if field.required and field.name in rows.columns]
    cleared: dict[int, str] = {}
    for name in required:
        values = rows.stored[rows.columns.index(name)]
        for number, value in zip(rows.numbers, values, strict=True):
            if value is None and name not in absent[number]:
                cleared.setdefault(number, name)
    if not cleared:
        return rows
    errors = [
        work.row_error(block, number, f"{name} {error_kinds.missing()}", name) for number, name in cleared.items()
    ]
    good = [place for place, number in enumerate(rows.numbers) if number not in cleared]
    return CheckedRows(
        [rows.numbers[place] for place in good],
        rows.columns,
        [[values[place] for place in good] for values in rows.stored],
        sorted([*rows.errors, *errors], key=lambda error: error.row),
    )


def key_of(work: Work) -> tuple[str, ...]:
    """The fields of the dataset's key."""
    return work.dataset.primary_key


def rows_of(work: Work, place: int, rows: CheckedRows, absent: list[frozenset[str]] | None) -> list[Row]:
    """The good rows of a block, each with its key; `place` is the block's in the batch."""
    keys = keyed.keys_of(work, work.job.organisation, [rows])
    values = rows.named
    if absent is not None:
        values = [
            {name: value for name, value in row.items() if name not in lacking}
            for row, lacking in zip(values, absent, strict=True)
        ]
    return [
        Row(place, number, document, keys.names, key, row)
        for number, document, key, row in zip(keys.numbers, keys.ids, keys.values, values, strict=True)
    ]


@lru_cache(maxsize=64)
def _lenient(dataset: Dataset, mode: Mode, keeps: bool) -> Dataset:
    """The dataset as rows have to fit it: where empty cells keep what is there, only the key needs a value."""
    if mode not in MERGING or not keeps:
        return dataset
    fields = tuple(
        field if field.name in dataset.primary_key else replace(field, required=False) for field in dataset.fields
    )
    return replace(dataset, fields=fields)


def plain_block(block: RowBlock) -> RowBlock:
    """The block with empty texts for fields that a row does not have."""
    if not any(ABSENT in row for row in block.rows):
        return block
    rows = [["" if text == ABSENT else text for text in row] for row in block.rows]
    return msgspec.structs.replace(block, rows=rows)


def _lacking(block: RowBlock) -> list[frozenset[str]]:
    """The fields that each row does not have."""
    return [
        frozenset(name for name, text in zip(block.columns, row, strict=False) if text == ABSENT) for row in block.rows
    ]


def named_key(work: Work, values: dict[str, Any]) -> list[str]:
    """The values of the key in a row, as texts."""
    return [str(values.get(name)) for name in key_of(work)]
