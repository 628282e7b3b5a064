"""Turns bytes of a CSV file into the JSON of its rows: cheaply where nothing is quoted, else with `csv.reader`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

import msgspec
import orjson

from csvfile.grammar import end_of_lines, whole_lines
from schemas.messages.packed_rows import BETWEEN_ROWS, BETWEEN_VALUES, ROW_BEGIN, ROW_END, packed_row

# A record is bounded by the bytes that are looked at; of itself `csv` would refuse a value over 128 KiB.
csv.field_size_limit(2**31 - 1)

_LINE_BYTES = 128
"""A guess: most lines have at most these bytes."""
_ODD_SIGNS = (b'"', b"\\")
_BEGIN, _END = ROW_BEGIN + b'"', b'"' + ROW_END
_BETWEEN_VALUES = b'"' + BETWEEN_VALUES + b'"'
_BETWEEN_ROWS = _END + BETWEEN_ROWS + _BEGIN
_BLANK_LINE = re.compile(rb"\n\n")
_ODD = re.compile(rb'["\\\x00-\x09\x0b\x0c\x0e-\x1f]|\r(?!\n)|\n\r?\n')
_ODD_UNLESS_TAB = re.compile(rb'["\\\x00-\x08\x0b\x0c\x0e-\x1f]|\r(?!\n)|\n\r?\n')


class Rows(msgspec.Struct, frozen=True):
    """Consecutive rows, encoded."""

    json: bytes
    """JSON arrays of strings, one a row, as `packed_row` writes them, joined by `BETWEEN_ROWS`."""
    row_lines: Sequence[int]
    """The line on which each row begins; the first row's is 0."""
    lines: int
    """Lines that the rows take together."""
    size: int
    """Bytes that the rows take together."""
    unreadable: dict[int, str] = {}

    def lines_from(self, first: int) -> Sequence[int]:
        """The line on which each row begins, where the first row is on line `first`."""
        found = self.row_lines
        if isinstance(found, range):
            return range(first + found.start, first + found.stop)
        return [first + line for line in found]


def plain_rows(data: bytes, start: int, stop: int, most: int, delimiter: bytes) -> Rows | None:
    """The plain lines from `start` on, at most `most`, that end before `stop`; None: the first line is not plain.

    A plain line has no quotes and nothing else that JSON escapes, is not blank, and ends with LF or CRLF. Replacing
    bytes makes its JSON: no Python object is made for a row or a value, which is what a million rows would spend
    their time on.
    """
    if data[start] in b'\r\n"':
        return None
    near = min(stop, start + most * _LINE_BYTES)
    for odd in _ODD_SIGNS:
        at = data.find(odd, start, near)
        if at >= 0:
            near = stop = at
    body = data[start : end_of_lines(data, start, stop, most)]
    if start + len(body) > near:
        for odd in _ODD_SIGNS:
            body = _lines_before(body, body.find(odd))
    lines = body.count(b"\n")
    if body and not _is_plain(body, delimiter, lines):
        body = _lines_before(body, _first_odd(body, delimiter))
        lines = body.count(b"\n")
    if not body:
        return None
    size = len(body)
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n")
    values = body[:-1].replace(delimiter, _BETWEEN_VALUES).replace(b"\n", _BETWEEN_ROWS)
    return Rows(b"".join((_BEGIN, values, _END)), range(lines), lines, size)


def _lines_before(body: bytes, index: int) -> bytes:
    """The whole lines of `body` before the line that holds `index`; all of it if `index` is -1."""
    return body if index < 0 else body[: body.rfind(b"\n", 0, index) + 1]


def _is_plain(body: bytes, delimiter: bytes, lines: int) -> bool:
    """Whether all of `body`, with its `lines` LF, is plain. It may fail to see that it is, in odd cases; never the
    other way."""
    crlf = body.count(b"\r") if b"\r" in body else 0
    if crlf != (body.count(b"\r\n") if crlf else 0) or _BLANK_LINE.search(body) or (crlf and b"\n\r" in body):
        return False
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False
    # orjson escapes what has to be, many bytes at a time: it was nothing but the line ends (and the tabs between
    # values) if the text has become longer by one byte for each, and by its two quotes
    escapes = lines + crlf + (body.count(b"\t") if delimiter == b"\t" else 0)
    return len(orjson.dumps(text)) == len(body) + escapes + 2


def _first_odd(body: bytes, delimiter: bytes) -> int:
    """Index of the first byte, at the latest, from which on `body` is not plain."""
    found = (_ODD_UNLESS_TAB if delimiter == b"\t" else _ODD).search(body)
    # of two line ends in a row the second is the odd one: it makes the blank line
    odd = -1 if found is None else found.end() - 1
    try:
        body[: odd if odd >= 0 else None].decode()
    except UnicodeDecodeError as error:
        return error.start
    return odd


def odd_rows(data: bytes, start: int, stop: int, least: int, most: int, delimiter: bytes) -> Rows | None:
    """The rows from `start` on, any rows: `least`, and more, up to `most`, while the next one has quotes as well.

    Fewer where a blank line follows, or a row that does not end before `stop`; None: that is so from the first on.
    """
    lines = _Lines(whole_lines(data, start, stop))
    sign = delimiter.decode()
    reader = csv.reader(lines, delimiter=sign, strict=True)
    rows: list[list[str]] = []
    row_lines: list[int] = []
    unreadable: dict[int, str] = {}
    line = size = 0
    while len(rows) < most:
        lines.record.clear()
        stray = False
        try:
            row = next(reader, None)
        except csv.Error:
            stray = True
            row = next(csv.reader(chain(tuple(lines.record), lines), delimiter=sign), None)
        if not row or lines.exhausted:
            break  # nothing, a blank line, or a quoted value that goes on beyond `stop`
        if lines.undecodable and (problem := _mend(row)):
            unreadable[len(rows)] = problem
        if stray:
            unreadable[len(rows)] = _stray_quote(lines.record, sign)
        rows.append(row)
        row_lines.append(line)
        line, size = line + len(lines.record), lines.size
        if len(rows) >= least and not lines.next_is_odd():
            break
    return Rows(BETWEEN_ROWS.join(map(packed_row, rows)), row_lines, line, size, unreadable) if rows else None


class _Lines:
    """Decoded lines for `csv.reader`, and what it took of them."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._next: bytes | None = None
        self.record: list[str] = []
        """The lines of the record that is being read."""
        self.size = 0
        self.exhausted = False
        self.undecodable = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._next or next(self._lines, None)
        self._next = None
        if line is None:
            self.exhausted = True
            raise StopIteration
        self.size += len(line)
        try:
            text = line.decode()
        except UnicodeDecodeError:
            self.undecodable = True
            text = line.decode(errors="surrogateescape")
        self.record.append(text)
        return text

    def next_is_odd(self) -> bool:
        """Whether the next line is surely not plain."""
        self._next = next(self._lines, None)
        line = self._next
        if line is None:
            return False
        return b'"' in line or b"\\" in line or line.endswith(b"\r") or (self.undecodable and not line.isascii())


def _stray_quote(record: list[str], delimiter: str) -> str:
    """Why a record with text behind a closing quote is refused: it can be read in two ways.

    The quote may be one inside the value that should have been doubled. Over several lines it is the sign of an earlier
    quote left open: the rows between the two would be lost in one value.
    """
    text, whole_value = "".join(record), _whole_value(delimiter)
    number, at = 1, 0
    while found := whole_value.match(text, at):
        number, at = number + 1, found.end()
    if len(record) > 1:
        return (
            f"value {number} is in quotes, runs over line ends, and has text after its closing quote within these "
            f"{len(record)} lines: a quote is missing or one too many; correct the file"
        )
    return (
        f"value {number} is in quotes and has text after its closing quote; "
        'write each quote inside of such a value twice (""), or take the one too many out'
    )


@lru_cache(maxsize=8)
def _whole_value(delimiter: str) -> re.Pattern[str]:
    """A value as RFC 4180 has it, with the delimiter behind it."""
    sign = re.escape(delimiter)
    return re.compile(rf'(?:"[^"]*+(?:""[^"]*+)*+"|[^"{sign}\r\n][^{sign}\r\n]*+|){sign}')


def _mend(row: list[str]) -> str | None:
    """Puts replacement characters where bytes were not UTF-8; answers the reason if there were any."""
    problem = None
    for index, value in enumerate(row):
        mended = value.encode(errors="surrogateescape").decode(errors="replace")
        if mended != value:
            row[index] = mended
            problem = problem or (
                f"the row is not valid UTF-8 (value {index + 1}); save the file as UTF-8, "
                "or send it with its encoding (such as --encoding cp1252)"
            )
    return problem
