"""What a line end and a record are, in a CSV file's bytes.

The rules are those of Python's `csv.reader` with `strict=True`: RFC 4180, and a quote inside an unquoted value is a
character like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

DELIMITERS = (b",", b";", b"\t", b"|")
"""Delimiters that the reader looks for in a header; it takes the first that fits."""
LINE_ENDS = re.compile(rb"[\r\n]+")

_LINE_BYTES = 100
_LF_LINE = re.compile(rb"[^\n]*+\n|[^\n]++")


def count_lines(data: bytes) -> int:
    """Line ends in `data`: LF, CR and CRLF each count as one."""
    lines = data.count(b"\n")
    if b"\r" in data:
        lines += data.count(b"\r") - data.count(b"\r\n")
    return lines


class LineCounter:
    """Lines in bytes that come in pieces: line ends as `count_lines` has them, and a last line without one."""

    def __init__(self) -> None:
        self._ends = 0
        self._last = b""

    def feed(self, data: bytes) -> None:
        """Take in the next bytes."""
        self._ends += count_lines(data)
        if self._last == b"\r" and data.startswith(b"\n"):
            self._ends -= 1  # the second half of a CRLF
        self._last = data[-1:] or self._last

    @property
    def ends(self) -> int:
        """Line ends in what has been taken in."""
        return self._ends

    @property
    def lines(self) -> int:
        """Lines of what has been taken in."""
        return self._ends + (self._last not in (b"", b"\n", b"\r"))


def end_of_lines(data: bytes, start: int, stop: int, lines: int) -> int:
    """Index behind the LF that ends the `lines`-th line from `start` on, or behind the last one before `stop`.

    Counting stretches of about the right length is several times cheaper than looking for one line end after another.
    """
    end, found, step = start, 0, lines * _LINE_BYTES
    while lines - found > 4 and end < stop:
        probe = min(end + step, stop)
        count = data.count(b"\n", end, probe)
        if found + count > lines:
            step = max(1, step // 2)
            continue
        end, found = probe, found + count
        step = max(16, (lines - found) * (end - start) // (found + 1))
    for _ in range(lines - found):
        at = data.find(b"\n", end, stop)
        if at < 0:
            break
        end = at + 1
    return data.rfind(b"\n", start, end) + 1 or start


def whole_lines(data: bytes, start: int, stop: int) -> Iterator[bytes]:
    """The lines from `start` on that end before `stop`, each with its line end: LF, CR or CRLF."""
    for found in _LF_LINE.finditer(data, start, stop):
        piece = found.group()
        for line in piece.splitlines(keepends=True) if b"\r" in piece else (piece,):
            start += len(line)
            if not line.endswith((b"\n", b"\r")):
                return
            if start == stop and line.endswith(b"\r") and data.startswith(b"\n", stop):
                return  # its line end is CRLF, and lies half beyond
            yield line
