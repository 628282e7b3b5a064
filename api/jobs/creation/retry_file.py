"""Whether a file's rows are row errors of a job. The file is read as a stream; what is kept of it is a bit a row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from csvfile.columns import wanted_of_corrections
from csvfile.cutter import Cut, Limits, cut
from csvfile.errors import CsvFileError
from csvfile.header import HEAD_BYTES, Header, read_header
from csvfile.row_numbers import row_number
from csvfile.text.encodings import another_encoding
from schemas.descriptors.datasets import ERROR_COLUMNS, Dataset
from schemas.descriptors.modes import Mode
from schemas.job import Options

_ROW = ERROR_COLUMNS[0]
_SEND = "send the file that `sluice errors ID --csv` writes"
_CHUNK_BYTES = 256 * 1024
_JSON_OF_A_BYTE = 6
"""Bytes in a block that a byte of a file takes, at most: a control character is written as ``\\u0001``."""
_ADDED_BYTES = 64 * 1024
"""What the columns of ``errors.csv`` add to a row, at most."""
_NAMED = 10
"""Rows that a refusal names, at most."""
_rows = msgspec.json.Decoder(list[list[str]])


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


def corrected_header(path: Path, dataset: Dataset, options: Options, mode: Mode | None = None) -> Header:
    """The header of a file of corrected rows, of a job with these options in this mode. Blocks.

    Raises:
        CsvFileError: there is none, or it does not fit; or the file is in another encoding than UTF-8.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES + 1)
    head, whole = head[:HEAD_BYTES], len(head) <= HEAD_BYTES
    header = read_header(head, whole, dataset, wanted_of_corrections(options, mode))
    problem = another_encoding(head, whole, named=False)
    if problem is not None:
        raise CsvFileError(problem)
    return header


def rows_problem(path: Path, header: Header, wrong: RowSet, limits: Limits) -> str | None:
    """Why these can't be corrected rows of a job whose row errors are `wrong`, in words; None: they can. Blocks.

    `limits` are those of the readers. The file is read as they will read it, a block at a time.
    """
    with path.open("rb") as file:
        try:
            if _ROW not in header.columns:
                return f"the header has no column {_ROW}, the row's number; {_SEND}"
            file.seek(header.end.bytes)
            chunks = iter(lambda: file.read(_CHUNK_BYTES), b"")
            blocks = cut(chunks, header.end, header.delimiter, limits.for_corrections())
            return _rows_problem(
                blocks, header.columns.index(_ROW), wrong, _JSON_OF_A_BYTE * limits.bytes + _ADDED_BYTES
            )
        except CsvFileError as error:
            return str(error)


def _rows_problem(blocks: Iterator[Cut | None], place: int, wrong: RowSet, most_bytes: int) -> str | None:
    seen = RowSet()
    strangers: list[str] = []
    doubled: list[str] = []
    rows = 0
    for block in blocks:
        if block is None:
            continue
        if len(block.rows_json) > most_bytes:
            return f"the row on line {block.first_line} is longer than rows can be; take out what was added to it"
        for index, row in enumerate(_rows.decode(block.rows_json)):
            rows += 1
            text = row[place] if place < len(row) else ""
            number = row_number(text)
            if number is None:
                return _unnumbered(block, index, text)
            if number not in wrong:
                strangers.append(text)
            elif number in seen:
                doubled.append(text)
            else:
                seen.add(number)
            if len(strangers) + len(doubled) > _NAMED:
                return _misplaced(strangers, doubled)
    return _misplaced(strangers, doubled) or (None if rows else "the file has no rows")


def _unnumbered(block: Cut, index: int, text: str) -> str:
    line = block.lines[index] if block.lines else block.first_line + index
    if index in block.unreadable:
        return f"the row on line {line} can't be read: {block.unreadable[index]}"
    return f"the row on line {line} has no row number in the column {_ROW}, but {text[:40]!r}; {_SEND}"


def _misplaced(strangers: list[str], doubled: list[str]) -> str | None:
    if strangers:
        return f"these rows are no row errors of this job: {_named(strangers)}; leave them out"
    return f"these rows are in the file twice: {_named(doubled)}" if doubled else None


def _named(rows: list[str]) -> str:
    return ", ".join(rows[:_NAMED]) + (" ..." if len(rows) > _NAMED else "")
