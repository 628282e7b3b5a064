"""Reads a CSV file's header: its columns, its delimiter, and where the first row begins.

The API calls `read_header` before it takes a file in, and the reader when it begins.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

import msgspec

from csvfile.cutter import Place
from csvfile.errors import CsvFileError
from csvfile.grammar import DELIMITERS, count_lines
from csvfile.rows import odd_rows
from schemas.datasets import ERROR_COLUMNS, Dataset, header_problem

HEAD_BYTES = 256 * 1024
"""A header has to lie within so many bytes, the blank lines in front of it included."""

_BLANK_LINES = re.compile(rb"(?:[ \t]*+[\r\n])*+")
_FIRST_LINE = re.compile(rb"[^\r\n]*+[\r\n]")
_UNENDED = f"the header does not end: a quote in it is not closed, or it takes more than {HEAD_BYTES // 1024} KiB"
_BINARY = (
    "the header has NUL bytes: the file is not text in UTF-8 (it may be UTF-16, or no text); save it as CSV in UTF-8"
)
_NOT_UTF8 = "the header is not valid UTF-8; save the file as UTF-8"
_rows = msgspec.json.Decoder(list[list[str]])


@dataclass(frozen=True, slots=True)
class Header:
    """The columns and the delimiter of a file, and the place of its first row."""

    columns: tuple[str, ...]
    delimiter: bytes
    end: Place


@dataclass(frozen=True, slots=True)
class _Guess:
    """The header as it would be with one delimiter."""

    header: Header
    problem: str | None


def read_header(head: bytes, whole: bool, dataset: Dataset) -> Header:
    """The header in `head`, the first `HEAD_BYTES` of a file, or all of it if `whole`.

    Blank lines in front of it are passed over, and white space around names is taken off. The delimiter is the first of
    `DELIMITERS` with which the header fits the dataset.

    Raises:
        CsvFileError: there is no header, or it does not fit the dataset. With several delimiters in question the
            message is about the one with which the most columns are known.
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise CsvFileError("the file is UTF-16; save it as CSV in UTF-8")
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    expected = f"expected a header with the columns {', '.join(dataset.columns)}"
    if start == len(head):
        raise CsvFileError(f"the file is empty; {expected}")
    size = len(head)
    if whole and not head.endswith((b"\n", b"\r")):
        head += b"\n"  # which is not in the file
    if blank := _BLANK_LINES.match(head, start):
        start = blank.end()
    if start == len(head):
        where = "the file is empty: it has" if whole else f"the first {HEAD_BYTES // 1024} KiB of the file have"
        raise CsvFileError(f"{where} no header, only blank lines; {expected}")
    if (line := _FIRST_LINE.match(head, start)) and not _is_utf8(line.group()):
        raise CsvFileError(_NOT_UTF8)
    guesses = [_guess(head, start, size, whole, delimiter, dataset) for delimiter in DELIMITERS]
    for guess in guesses:
        if guess.problem is None:
            return guess.header
    known = frozenset(dataset.columns) | frozenset(ERROR_COLUMNS)
    best = max(guesses, key=lambda guess: (len(known & set(guess.header.columns)), len(guess.header.columns)))
    raise CsvFileError(str(best.problem))


def _guess(head: bytes, start: int, size: int, whole: bool, delimiter: bytes, dataset: Dataset) -> _Guess:
    found = odd_rows(head, start, len(head), 1, 1, delimiter)
    end = len(head) if found is None else start + found.size
    if found is None or (not whole and end == len(head)):
        line = head[start:].splitlines()[0].decode(errors="replace")
        columns = tuple(name.strip().strip('"') for name in line.split(delimiter.decode()))
        return _Guess(Header(columns, delimiter, Place(size, 0)), _UNENDED)
    (row,) = _rows.decode(b"[" + found.json + b"]")
    columns = tuple(name.strip() for name in row)
    header = Header(columns, delimiter, Place(min(end, size), count_lines(head[:end])))
    if b"\0" in head[start:end]:
        return _Guess(header, _BINARY)
    if "\ufffd" in "".join(columns) and not _is_utf8(head[start:end]):
        return _Guess(header, _NOT_UTF8)
    if found.unreadable:
        return _Guess(header, f"the header can't be read: {found.unreadable[0]}")
    return _Guess(header, header_problem(dataset, columns))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
