"""Reads a CSV file's header: its columns, its delimiter, and where the first row begins.

The API calls `read_header` before it takes a file in, and the reader when it begins.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

import msgspec

from csvfile.columns import Match, Wanted, by_exact_names, match_columns
from csvfile.cutter import Place
from csvfile.errors import CsvFileError
from csvfile.grammar import count_lines
from csvfile.layout import Layout, behind_comments, first_line, separator_line
from csvfile.rows import odd_rows
from csvfile.text.encodings import advice, bad_byte
from csvfile.text.kinds import other_kind, other_text
from schemas.descriptors.datasets import Dataset

HEAD_BYTES = 256 * 1024
"""A header must end within these bytes, which include the blank lines in front of it."""

_BLANK_LINES = re.compile(rb"(?:[ \t]*+[\r\n])*+")
_FIRST_LINE = re.compile(rb"[^\r\n]*+[\r\n]")
UNENDED = f"the header does not end: a quote in it is not closed, or it takes more than {HEAD_BYTES // 1024} KiB"
"""The problem of a header that does not end in the bytes that are looked at."""
_rows = msgspec.json.Decoder(list[list[str]])


_ANY = Wanted()
_USUAL = Layout()


@dataclass(frozen=True, slots=True)
class Header:
    """The columns and the delimiter of a file, and the place of its first row."""

    match: Match
    delimiter: bytes
    end: Place

    @property
    def columns(self) -> tuple[str, ...]:
        """The field of each column, see `Match.fields`."""
        return self.match.fields


def read_header(head: bytes, whole: bool, dataset: Dataset, wanted: Wanted = _ANY, layout: Layout = _USUAL) -> Header:
    """The header in `head`, the first `HEAD_BYTES` of a file, or all of it if `whole`.

    Raises:
        CsvFileError: there is no header, or it does not fit the dataset.
    """
    header = look_at_header(head, whole, dataset, wanted, layout)
    if header.match.problem is not None:
        raise CsvFileError(header.match.problem)
    return header


def look_at_header(
    head: bytes, whole: bool, dataset: Dataset, wanted: Wanted = _ANY, layout: Layout = _USUAL
) -> Header:
    """The header, with what is wrong with its columns in its `match`.

    Blank lines in front of it are passed over, and white space around names is taken off. The delimiter is that of
    `layout`, or that of a first line ``sep=;``, or that of `DELIMITERS` with which the most columns are known, the
    first of these: of those with which the header fits the dataset, if it does with any.

    Raises:
        CsvFileError: there is no header at all.
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise CsvFileError("the file is UTF-16, and was not converted to UTF-8 when it was sent; send it again")
    if (other := other_kind(head)) is not None:
        raise CsvFileError(other)
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    expected = f"expected a header with the columns {', '.join(dataset.columns)}"
    if start == len(head):
        raise CsvFileError(f"the file is empty; {expected}")
    size = len(head)
    if whole and not head.endswith((b"\n", b"\r")):
        head += b"\n"  # which is not in the file
    start, separator = behind_front(head, start, layout)
    delimiters = layout.delimiters if separator is None or layout.delimiter else (separator,)
    if start == len(head):
        where = "the file is empty: it has" if whole else f"the first {HEAD_BYTES // 1024} KiB of the file have"
        passed = "blank lines" if layout == _USUAL else "lines that are passed over"
        raise CsvFileError(f"{where} no header, only {passed}; {expected}")
    if (other := other_text(head, start)) is not None:
        raise CsvFileError(other)
    if (line := _FIRST_LINE.match(head, start)) and (problem := _text_problem(head, start, line.end())):
        raise CsvFileError(problem)
    guesses = [_guess(head, start, size, whole, delimiter, dataset, wanted) for delimiter in delimiters]
    return max(guesses, key=lambda guess: (guess.match.problem is None, guess.match.known, len(guess.match.names)))


def behind_front(head: bytes, start: int, layout: Layout) -> tuple[int, bytes | None]:
    """Index behind all that stands in front of a header, and the delimiter that a line ``sep=;`` among it tells."""
    start = _behind_blank_lines(head, first_line(head, start, layout))
    separator = separator_line(head, start)
    if separator is None:
        return start, None
    return _behind_blank_lines(head, behind_comments(head, separator[1], layout)), separator[0]


def _guess(
    head: bytes, start: int, size: int, whole: bool, delimiter: bytes, dataset: Dataset, wanted: Wanted
) -> Header:
    found = odd_rows(head, start, len(head), 1, 1, delimiter)
    end = len(head) if found is None else start + found.size
    if found is None or (not whole and end == len(head)):
        line = head[start:].splitlines()[0].decode(errors="replace")
        names = tuple(name.strip().strip('"') for name in line.split(delimiter.decode()))
        return Header(by_exact_names(names, dataset, UNENDED), delimiter, Place(size, 0))
    (row,) = _rows.decode(b"[" + found.json + b"]")
    names = tuple(_bare(name) for name in row)
    place = Place(min(end, size), count_lines(head[:end]))
    problem = None
    if "\ufffd" in "".join(names) or b"\0" in head[start:end]:
        problem = _text_problem(head, start, end)
    if problem is None and found.unreadable:
        problem = f"the header can't be read: {found.unreadable[0]}"
    match = match_columns(names, dataset, wanted) if problem is None else by_exact_names(names, dataset, problem)
    return Header(match, delimiter, place)


def _bare(name: str) -> str:
    """A name without the white space around it, and without a byte order mark that a program put within its quotes."""
    return name.strip().strip("\ufeff").strip()


def _behind_blank_lines(head: bytes, start: int) -> int:
    blank = _BLANK_LINES.match(head, start)
    return blank.end() if blank else start


def _text_problem(head: bytes, start: int, end: int) -> str | None:
    """Why these bytes of the header are no text, and what the whole may be; None: they are."""
    try:
        head[start:end].decode()
    except UnicodeDecodeError as error:
        place = start + error.start
        where = bad_byte(head[place], count_lines(head[:place]) + 1, place)
        return f"the header is not valid UTF-8: {where}; {advice(head[start:])}"
    if (place := head.find(b"\0", start, end)) >= 0:
        where = bad_byte(0, count_lines(head[:place]) + 1, place)
        return f"the header has NUL bytes, so it is not text in UTF-8: {where}; {advice(head[start:])}"
    return None
