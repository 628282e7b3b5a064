"""Finds the end of a record that is too large for memory: a small state machine that keeps no bytes of it."""

from __future__ import annotations

import re

from csvfile.errors import CsvFileError
from csvfile.grammar import count_lines

QUOTE_SPAN_BYTES = 1024 * 1024
"""A quote that is not closed within these bytes fails the input, with a message that says where it opens."""

_QUOTE = ord('"')
_ENDS = b"\r\n"


class RecordSkipper:
    """Takes a record piece by piece until its end."""

    def __init__(self, delimiter: bytes, first_line: int) -> None:
        self._stop = re.compile(b"[" + re.escape(delimiter) + rb"\r\n]")
        self._delimiter = delimiter[0]
        self._state = "start"  # of a value; then "unquoted", "quoted", or "closing" after a quote in a quoted one
        self.line = first_line
        """The line it has come to."""
        self._quote_line = first_line
        self._quoted_bytes = 0

    def feed(self, data: bytes) -> int | None:
        """Index in `data` of the line end that ends the record; None: it goes on. No piece may end between CR and LF.

        Raises:
            CsvFileError: a quote has been open for too long.
        """
        at = 0
        while at < len(data):
            if self._state == "quoted":
                at = self._pass_quoted(data, at)
                continue
            byte = data[at]
            if self._state != "unquoted" and byte == _QUOTE:
                if self._state == "start":
                    self._quote_line, self._quoted_bytes = self.line, 0
                self._state = "quoted"
                at += 1
                continue
            found = self._stop.search(data, at)
            if found is None:
                self._state = "unquoted"
                return None
            at = found.start()
            if data[at] in _ENDS:
                return at
            self._state = "start"
            at += 1
        return None

    def finish(self) -> None:
        """The file ends here.

        Raises:
            CsvFileError: it ends within quotes.
        """
        if self._state == "quoted":
            raise CsvFileError(
                f"the quote that opens on line {self._quote_line} is not closed: the file ends within it"
            )

    def _pass_quoted(self, data: bytes, at: int) -> int:
        quote = data.find(b'"', at)
        stop = len(data) if quote < 0 else quote
        self.line += count_lines(data[at:stop])
        self._quoted_bytes += stop - at
        if self._quoted_bytes > QUOTE_SPAN_BYTES:
            raise CsvFileError(
                f"the quote that opens on line {self._quote_line} is not closed within "
                f"{QUOTE_SPAN_BYTES // 1024} KiB; correct that line"
            )
        if quote < 0:
            return stop
        self._state = "closing"
        return stop + 1
