"""Rows that carry the numbers they have in their job: those of a corrected ``errors.csv``."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from csvfile.row_numbers import row_number
from ingest.errors import SourceError
from schemas.descriptors.datasets import ERROR_COLUMNS
from schemas.messages.blocks import RowBlock

ROW, LINE = ERROR_COLUMNS[:2]
_rows = msgspec.json.Decoder(list[list[str]])


def numbered(block: RowBlock, rows_json: bytes) -> RowBlock:
    """The block with each row under its own number and line, and without the columns that ``errors.csv`` added.

    Raises:
        SourceError: a row has no number.
    """
    rows = _rows.decode(rows_json)
    numbers = [_number(block, row, index) for index, row in enumerate(rows)]
    lines = [row_number(_value(block, row, LINE)) or 0 for row in rows]
    own = [place for place, name in enumerate(block.columns) if name not in ERROR_COLUMNS]
    return replace(
        block,
        first_row=numbers[0],
        columns=[block.columns[place] for place in own],
        rows=[_without_added(row, own, len(block.columns)) for row in rows],
        numbers=numbers,
        first_line=lines[0] if all(lines) else 0,
        lines=lines if all(lines) else None,
    )


def _number(block: RowBlock, row: list[str], index: int) -> int:
    number = row_number(_value(block, row, ROW))
    if number is None:
        line = block.line_of(index)
        raise SourceError(f"the row on line {line} has no row number in the column {ROW}; send the file again")
    return number


def _value(block: RowBlock, row: list[str], name: str) -> str:
    place = block.columns.index(name) if name in block.columns else len(row)
    return row[place] if place < len(row) else ""


def _without_added(row: list[str], own: list[int], columns: int) -> list[str]:
    return [row[place] for place in own if place < len(row)] + row[columns:]
