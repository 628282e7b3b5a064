"""Reads a CSV file's header: its columns, its delimiter, and where the first row begins."""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass

from ingest.cutter import Place
from ingest.errors import SourceError
from ingest.grammar import DELIMITERS, LINE_ENDS, count_lines, one_record
from schemas.datasets import Dataset, header_problem

HEAD_BYTES = 256 * 1024
"""A header has to lie within so many bytes."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the top of a file says of the rest."""

    columns: tuple[str, ...]
    delimiter: bytes
    end: Place


def read_header(head: bytes, whole: bool, dataset: Dataset) -> Header:
    """The header in `head`, the first `HEAD_BYTES` of a file, or all of it if `whole`.

    The delimiter is the comma, unless only with a semicolon or a tab the header fits the dataset.

    Raises:
        SourceError: there is no header, or it does not fit the dataset.
    """
    if not head:
        raise SourceError("the file is empty")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError("the file is UTF-16; save it as CSV in UTF-8")
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    if blank := LINE_ENDS.match(head, start):
        start = blank.end()
    if start == len(head):
        raise SourceError("the file is empty: it has no header, only blank lines" if blank else "the file is empty")
    size = len(head)
    if whole and not head.endswith((b"\n", b"\r")):
        head += b"\n"  # which is not in the file
    problems = []
    for delimiter in DELIMITERS:
        found = one_record(delimiter).match(head, start)
        if found is None or (not whole and found.end() == len(head)):
            problems.append("the header does not end: its line is too long, or a quote in it is not closed")
            continue
        columns = _columns(found.group(), delimiter)
        problem = header_problem(dataset, columns)
        if problem is None:
            return Header(columns, delimiter, Place(min(found.end(), size), count_lines(head[: found.end()])))
        problems.append(problem)
    raise SourceError(problems[0])


def _columns(record: bytes, delimiter: bytes) -> tuple[str, ...]:
    try:
        text = record.decode()
    except UnicodeDecodeError as error:
        raise SourceError("the header is not valid UTF-8; save the file as UTF-8") from error
    row = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter.decode()))
    return tuple(name.strip() for name in row)
