"""Whether a file's rows are row errors of a job. The file is read as a stream; what is kept of it is a bit a row."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from api.header import HEAD_BYTES, head_problem
from schemas.datasets import ERROR_COLUMNS, Dataset, header_problem

if TYPE_CHECKING:
    from _csv import Reader

_ROW = ERROR_COLUMNS[0]
_NAMED = 10
"""So many rows are named in a refusal."""
_HIGHEST = 2**40


class RowSet:
    """Row numbers, from 1; a bit for each up to the highest."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __contains__(self, number: int) -> bool:
        place = number >> 3
        return place < len(self._bits) and bool(self._bits[place] & 1 << (number & 7))

    def add(self, number: int) -> None:
        """Take it in."""
        place = number >> 3
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits) + len(self._bits) // 2))
        self._bits[place] |= 1 << (number & 7)


def rows_problem(path: Path, dataset: Dataset, wrong: RowSet) -> str | None:
    """Why these can't be corrected rows of a job whose row errors are `wrong`, in words; None: they can. Blocks."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES + 1)
    problem = head_problem(dataset, head[:HEAD_BYTES], whole=len(head) <= HEAD_BYTES)
    if problem is not None:
        return problem
    for delimiter in ",;\t":
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            reader = csv.reader(lines, delimiter=delimiter)
            try:
                header = [name.strip() for name in next((row for row in reader if row), [])]
                if header_problem(dataset, header) is None:
                    return _rows_problem(reader, header, wrong)
            except csv.Error as error:
                return f"line {reader.line_num} can't be read: {error}"
    return "the header can't be read; send the file that `sluice errors ID --csv` writes"


def _rows_problem(reader: Reader, header: Sequence[str], wrong: RowSet) -> str | None:
    if _ROW not in header:
        return f"the header has no column {_ROW}, the row's number; send the file that `sluice errors ID --csv` writes"
    place, seen = header.index(_ROW), RowSet()
    strangers: list[str] = []
    doubled: list[str] = []
    rows = 0
    for row in reader:
        if not row:
            continue
        rows += 1
        text = row[place] if place < len(row) else ""
        if not (text.isascii() and text.isdigit() and 0 < int(text[:18]) < _HIGHEST):
            return f"the row on line {reader.line_num} has no row number in the column {_ROW}, but {text[:40]!r}"
        number = int(text)
        if number not in wrong:
            strangers.append(text)
        elif number in seen:
            doubled.append(text)
        else:
            seen.add(number)
        if len(strangers) + len(doubled) > _NAMED:
            break
    if strangers:
        return f"these rows are no row errors of this job: {_named(strangers)}; leave them out"
    if doubled:
        return f"these rows are in the file twice: {_named(doubled)}"
    return None if rows else "the file has no rows"


def _named(rows: list[str]) -> str:
    return ", ".join(rows[:_NAMED]) + (" ..." if len(rows) > _NAMED else "")
