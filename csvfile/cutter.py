"""Cuts a CSV file's bytes into blocks of rows: a function of the bytes and the limits alone.

A block is the longest sequence of at most `rows` rows that spans at most `bytes` bytes of the file, from its first row
to the end of its last; blank lines between blocks belong to none. So a reader that begins at the end of any block
cuts the same blocks as one that began at the top, and the pieces in which the bytes arrive do not matter.
A row that alone spans more than `bytes` is a block of its own; one of more than `row_bytes` an unreadable row without
values.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from csvfile.grammar import LINE_ENDS, count_lines
from csvfile.oversized_rows import RecordSkipper
from csvfile.rows import odd_rows, plain_rows
from csvfile.window import Window
from schemas.messages.packed_rows import BETWEEN_ROWS


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a block may be."""

    rows: int
    bytes: int
    row_bytes: int = 0
    """Bytes of a row that is larger than a block, at most; no row may be so if this is less than `bytes`."""

    @property
    def longest_row(self) -> int:
        """Bytes that one row may take, at most."""
        return max(self.bytes, self.row_bytes)

    def for_corrections(self) -> Limits:
        """The limits for a file that was made of this one's row errors, so that each of them can be read again.

        A row is written longer than it was read: quotes are doubled, values put in quotes, apostrophes put in front,
        and a byte that is not UTF-8 becomes three. That is at most three times as much; reason and numbers are added.
        """
        return Limits(self.rows, self.bytes, 4 * self.bytes)


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two rows: bytes and lines of the file before it."""

    bytes: int
    lines: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The rows of one block."""

    rows_json: bytes
    """A JSON array of arrays of strings, in the form of `PackedRows`."""
    rows: int
    first_line: int
    lines: list[int] | None
    """Line of each row; None: each is on the line after the one before it."""
    unreadable: dict[int, str]
    end: Place


def cut(chunks: Iterator[bytes], start: Place, delimiter: bytes, limits: Limits) -> Iterator[Cut | None]:
    """The blocks of a file. `chunks` is its bytes from `start` on, which lies between two rows.

    Yields None when it has read much without completing a block, so that other work gets its turn.

    Raises:
        CsvFileError: a quote is never closed.
    """
    window = Window(chunks, start.bytes)
    lines = start.lines
    while True:
        window.fill(limits.longest_row + 2)
        if not window.left:
            return
        if window.data[window.at] in b"\r\n":
            found = LINE_ENDS.match(window.piece())
            blank = found.group() if found else b""
            window.at += len(blank)
            lines += count_lines(blank)
            yield None
            continue
        block = _cut_block(window, lines, delimiter, limits.rows, limits.bytes)
        if block is None and limits.row_bytes > limits.bytes:
            block = _cut_block(window, lines, delimiter, 1, limits.row_bytes)
        if block is None:
            block = yield from _skip_row(window, lines, delimiter, limits)
        yield block
        lines = block.end.lines


def _cut_block(window: Window, lines: int, delimiter: bytes, most: int, size: int) -> Cut | None:
    """The block of `most` rows and `size` bytes, at most, that begins where the window stands.

    None: its first row is too large or not closed.
    """
    data, at = window.data, window.at
    stop = min(at + size, len(data))
    end, end_lines = at, lines  # behind its last row
    line = lines + 1
    parts: list[bytes] = []
    row_lines: list[int] = []
    unreadable: dict[int, str] = {}
    # Guesses, which change the speed and never the outcome: how many plain rows to look for, and how many rows to take
    # the slow way at once. Where odd rows are many, neither looking far ahead nor going to and fro is worth its time.
    ask, greed = most, 1
    while (left := most - len(row_lines)) > 0 and at < stop:
        found = plain_rows(data, at, stop, min(ask, left), delimiter)
        ask = 4 + 2 * found.lines if found else 4
        if found is None:
            found = odd_rows(data, at, stop, min(greed, left), left, delimiter)
            greed = min(2 * greed, 64)
            if found is not None and data.find(b'"', at, at + found.size) >= 0:
                ask = most  # the next quote is found at once, however far it is
        elif found.lines > 8:
            greed = 1
        if found is None:
            blank = LINE_ENDS.match(data, at, stop)
            if blank is None:
                break
            at = blank.end()
            line += count_lines(blank.group())
            continue
        unreadable.update({len(row_lines) + index: reason for index, reason in found.unreadable.items()})
        row_lines.extend(found.lines_from(line))
        parts.append(found.json)
        at += found.size
        line += found.lines
        end, end_lines = at, line - 1
    if not row_lines:
        return None
    window.at = end
    return Cut(
        rows_json=b"[%b]" % BETWEEN_ROWS.join(parts),
        rows=len(row_lines),
        first_line=row_lines[0],
        lines=None if row_lines[-1] - row_lines[0] == len(row_lines) - 1 else row_lines,
        unreadable=unreadable,
        end=Place(window.offset, end_lines),
    )


def _skip_row(window: Window, lines: int, delimiter: bytes, limits: Limits) -> Generator[None, None, Cut]:
    """Passes over the row that does not fit into a block, a window at a time, and makes an unreadable row of it."""
    skipper = RecordSkipper(delimiter, lines + 1)
    while window.left:
        piece = window.piece()
        end = skipper.feed(piece)
        if end is not None:
            window.at += end + (2 if piece.startswith(b"\r\n", end) else 1)
            break
        window.at += len(piece)
        window.fill(limits.longest_row + 2)
        yield None
    else:
        skipper.finish()
    return Cut(
        rows_json=b"[[]]",
        rows=1,
        first_line=lines + 1,
        lines=None,
        unreadable={0: f"the row takes more than {limits.longest_row} bytes, which is the most a row may take"},
        end=Place(window.offset, skipper.line),
    )
