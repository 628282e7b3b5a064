"""Rows of an ``errors.csv`` whose recorded values are not what the file had: they can't be told by their values alone.

A row with too few values is written with empty ones, and of a row that could not be read some text is lost. Read again
as they stand, such rows would be stored damaged. So ``errors.csv`` puts a checksum of the row's cells behind its
reason, and the row is refused again, for that reason, as long as its cells have this checksum.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from csvfile.cutter import Cut
from schemas.descriptors.datasets import ERROR_COLUMNS
from schemas.messages.blocks import PASSED_OVER

REASON: Final = ERROR_COLUMNS[3]
_MARK: Final = " [cells "
_MARKED: Final = re.compile(r"(.+) \[cells ([0-9a-f]{8})\]\s*", re.DOTALL)
_LINE_ENDS: Final = re.compile(r"\r\n?")
_GUARD: Final = "'"
_rows = msgspec.json.Decoder(list[list[str]])


def marked(reason: str, cells: Mapping[str, str], surplus: Sequence[str]) -> str:
    """The reason of such a row as ``errors.csv`` has it. `cells`: field -> what stands in it there; `surplus`: what
    stands behind the reason.
    """
    return f"{reason}{_MARK}{_checksum(cells, surplus)}]"


def still_refused(parts: Iterator[Cut | None], columns: Sequence[str]) -> Iterator[Cut | None]:
    """The blocks of a file with these columns; marked rows whose cells have not been changed are unreadable in them."""
    if REASON not in columns:
        yield from parts
        return
    sign, place = _MARK.encode(), columns.index(REASON)
    own = [at for at, name in enumerate(columns) if name != PASSED_OVER and name not in ERROR_COLUMNS]
    for part in parts:
        if part is None or sign not in part.rows_json:
            yield part
            continue
        found = {}
        for index, row in enumerate(_rows.decode(part.rows_json)):
            mark = _MARKED.fullmatch(row[place]) if place < len(row) else None
            cells = {columns[at]: row[at] for at in own if at < len(row)}
            if mark is not None and _checksum(cells, row[len(columns) :]) == mark[2]:
                found[index] = mark[1]
        yield replace(part, unreadable={**found, **part.unreadable})


def _checksum(cells: Mapping[str, str], surplus: Sequence[str]) -> str:
    """Of a row's values, in whatever order its columns are; which ones are empty, how lines end and apostrophes in
    front, which a spreadsheet may change by itself, do not count.
    """
    named = [*sorted((name, value) for name, value in cells.items() if value), *(("", value) for value in surplus)]
    parts = [f"{name}\x1f{_LINE_ENDS.sub(chr(10), value.lstrip(_GUARD))}\x1e" for name, value in named]
    return f"{zlib.crc32(''.join(parts).encode(errors='replace')):08x}"
