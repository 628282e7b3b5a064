"""Rows of an ``errors.csv`` whose recorded values are not what the file had: they can't be told by their values alone.

A row with too few values is written with empty ones, and of a row that could not be read some text is lost. Read again
as they stand, such rows would be stored damaged. So ``errors.csv`` puts a checksum of the row's cells behind its
reason, and the row is refused again, for that reason, as long as its cells have this checksum. What a row has too much
stands behind its reason, and is not part of it: a program that saves the file gives it columns without a name, or
somebody deletes these for all rows, and neither corrects a row.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from csvfile.columns import Match
from csvfile.cutter import Cut
from schemas.descriptors.datasets import ERROR_COLUMNS, Dataset
from schemas.messages.blocks import PASSED_OVER

REASON: Final = ERROR_COLUMNS[3]
SURPLUS: Final = "the row has too many values: what stands in a column without a name has to be removed"
"""The reason of a row that was corrected but for the values that it has too many."""
_MARK: Final = " [cells "
_HOW: Final = ": refused until a field is changed or this reason is cleared]"
_MARKED: Final = re.compile(r"(.+) \[cells ([0-9a-f]{8})[^\]]*\]\s*", re.DOTALL)
_LINE_ENDS: Final = re.compile(r"\r\n?")
_GUARD: Final = "'"
_rows = msgspec.json.Decoder(list[list[str]])


def marked(reason: str, cells: Mapping[str, str]) -> str:
    """The reason of such a row as ``errors.csv`` has it. `cells`: field -> what stands in it there."""
    return f"{reason}{_MARK}{_checksum(cells.items())}{_HOW}"


def still_refused(parts: Iterator[Cut | None], match: Match, dataset: Dataset) -> Iterator[Cut | None]:
    """The blocks of a file with these columns; marked rows that nobody has corrected are unreadable in them.

    What such a row has in columns without a name stands behind its other cells then, as in the file that was written.
    """
    fields = match.fields
    if REASON not in fields:
        yield from parts
        return
    sign, place = _MARK.encode(), fields.index(REASON)
    known = _columns(match, dataset)
    unnamed = [at for at, name in enumerate(match.names) if not name and fields[at] == PASSED_OVER]
    for part in parts:
        if part is None or sign not in part.rows_json:
            yield part
            continue
        found = {}
        rows = _rows.decode(part.rows_json)
        for index, row in enumerate(rows):
            mark = _MARKED.fullmatch(row[place]) if place < len(row) else None
            if mark is None:
                continue
            surplus = any(row[at] for at in unnamed if at < len(row))
            if any(_checksum((name, row[at]) for name, at in own if at < len(row)) == mark[2] for own in known):
                found[index] = mark[1]
            elif surplus:
                found[index] = SURPLUS
            if surplus:
                rows[index] = _moved_behind(row, unnamed, len(fields))
        yield replace(part, rows_json=msgspec.json.encode(rows), unreadable={**found, **part.unreadable})


def _columns(match: Match, dataset: Dataset) -> list[list[tuple[str, int]]]:
    """Name and place of the fields' columns: by the names that the file has, which are those that were written unless
    somebody has changed them, and by the fields that these are now. A job may take them for others or pass them over.
    """
    own = [
        (name, field or name, at)
        for at, (name, field) in enumerate(zip(match.names, match.fields, strict=True))
        if field not in ERROR_COLUMNS and (field != PASSED_OVER or name in dataset.columns)
    ]
    return [[(name, at) for name, _, at in own], [(field, at) for _, field, at in own]]


def _moved_behind(row: Sequence[str], unnamed: Sequence[int], columns: int) -> list[str]:
    surplus = [*(row[at] for at in unnamed if at < len(row)), *row[columns:]]
    while not surplus[-1]:
        surplus.pop()
    named = ["" if at in unnamed else value for at, value in enumerate(row[:columns])]
    return [*named, *[""] * (columns - len(named)), *surplus]


def _checksum(cells: Iterable[tuple[str, str]]) -> str:
    """Of a row's values, in whatever order its columns are; which ones are empty, how lines end and apostrophes in
    front, which a spreadsheet may change by itself, do not count.
    """
    named = sorted((name, value) for name, value in cells if value)
    parts = [f"{name}\x1f{_LINE_ENDS.sub(chr(10), value.lstrip(_GUARD))}\x1e" for name, value in named]
    return f"{zlib.crc32(''.join(parts).encode(errors='replace')):08x}"
