"""What a line end and a record are, in a CSV file's bytes.

The rules are those of Python's `csv.reader` with its default dialect: RFC 4180, and a quote inside an unquoted value is
a character like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

DELIMITERS = (b",", b";", b"\t")
LINE_ENDS = re.compile(rb"[\r\n]+")

_LINE_BYTES = 100
_LF_LINE = re.compile(rb"[^\n]*+\n|[^\n]++")


def count_lines(data: bytes) -> int:
    """Line ends in `data`: LF, CR and CRLF each count as one."""
    lines = data.count(b"\n")
    if b"\r" in data:
        lines += data.count(b"\r") - data.count(b"\r\n")
    return lines


@lru_cache(maxsize=8)
def one_record(delimiter: bytes) -> re.Pattern[bytes]:
    """A record that is not a blank line, with its line end. Quoted values may span lines; each must be closed."""
    stop = delimiter + rb"\r\n"
    # (?!") : without it, backtracking would take the first half of a doubled quote for a closing one
    quoted = rb'"[^"]*+(?:""[^"]*+)*"(?!")[^' + stop + b"]*+"
    unquoted = b'[^"' + stop + b"][^" + stop + b"]*+"
    value = b"(?:" + quoted + b"|" + unquoted + b"|)"
    return re.compile(rb"(?![\r\n])" + value + b"(?:" + delimiter + value + rb")*(?:\r\n|\r|\n)")


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
