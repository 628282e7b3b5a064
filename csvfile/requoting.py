"""Makes RFC 4180 of a CSV text that has other quotes, or an escape character, a piece at a time.

Line ends stay where they are, so that a row keeps its line. An escape character makes a delimiter, a quote, a line end
or itself part of the value; before anything else it is a character like any other.
"""

from __future__ import annotations

import codecs
import re

from csvfile.errors import CsvFileError
from csvfile.grammar import LineCounter
from csvfile.header import HEAD_BYTES, behind_front
from csvfile.layout import Quoting
from csvfile.oversized_rows import QUOTE_SPAN_BYTES


class Requoter:
    """Takes a file's bytes, in UTF-8, from its beginning on."""

    def __init__(self, quoting: Quoting) -> None:
        self._layout = quoting.layout
        self._sign = quoting.quote
        self._value = _value(quoting)
        self._within, self._bare = _marks(quoting, doubled=True), _marks(quoting, doubled=False)
        self._odd = re.compile(b'["\\r\\n' + re.escape(quoting.layout.delimiter or b",") + b"]")
        self._signs = re.compile(b'["' + re.escape(quoting.quote + quoting.escape) + b"]")
        self._row_begins = True
        self._left = b""
        self._wanted = 0
        """Bytes that a value has to have before its end is looked for again: twice as many as the last time."""
        self._lines = LineCounter()
        self._in_front = True

    def feed(self, data: bytes, last: bool = False, early: bool = False) -> bytes:
        """What comes of the next bytes, whole values of it; `last`: there are no more.

        Nothing does until there are as many as a header may take, since lines may stand in front of it, unless it is
        to be `early`: for a look at a beginning, behind which no more bytes will be fed.

        Raises:
            CsvFileError: a quote is not closed.
        """
        text = self._left + data
        if len(text) < self._wanted and not last:
            self._left = text
            return b""
        parts: list[bytes] = []
        at = 0
        if self._in_front:
            if len(text) < HEAD_BYTES and not (last or early):
                self._left = text
                return b""
            self._in_front = False
            mark = len(codecs.BOM_UTF8) if text.startswith(codecs.BOM_UTF8) else 0
            at, _ = behind_front(text, mark, self._layout)
            parts.append(text[:at])
        stop, added = len(text), b""
        if last and not text.endswith((b"\n", b"\r")):
            added = b"\n"
            text += added
        while at < stop:
            if self._row_begins and (plain := self._plain_lines(text, at)) > at:
                parts.append(text[at:plain])
                at = plain
                continue
            found = self._value.match(text, at)
            if found is None:
                break
            if found.end() == len(text) and text.endswith(b"\r") and not last:
                break  # it may be half of a CRLF
            parts.append(self._written(found))
            at = found.end()
            self._row_begins = text[at - 1] in b"\r\n"
        self._lines.feed(text[:at])
        self._left = text[at:]
        self._wanted = min(2 * len(self._left), QUOTE_SPAN_BYTES + 1)
        if (last and at < stop) or len(self._left) > QUOTE_SPAN_BYTES:
            within = "the file ends within it" if last else f"it goes on for {QUOTE_SPAN_BYTES // 1024} KiB"
            raise CsvFileError(f"the value that begins on line {self._lines.ends + 1:,} does not end: {within}")
        made = b"".join(parts)
        return made.removesuffix(added) if added else made

    def _plain_lines(self, text: bytes, at: int) -> int:
        """Index behind the lines from `at` on that have no sign to be written anew."""
        odd = self._signs.search(text, at)
        return text.rfind(b"\n", at, len(text) if odd is None else odd.start()) + 1

    def _written(self, found: re.Match[bytes]) -> bytes:
        quoted, behind, bare, end = found.group("quoted", "behind", "bare", "end")
        marks, value = (self._bare, bare) if quoted is None else (self._within, quoted)
        value = marks.sub(self._meant, value)
        if behind is None and (value or quoted is None) and not self._odd.search(value):
            return value + end
        behind = behind or b""
        if behind.startswith(b'"'):
            behind = b" " + behind  # else the two quotes would be one in the value, and the row would not be refused
        return b'"' + value.replace(b'"', b'""') + b'"' + behind + end

    def _meant(self, mark: re.Match[bytes]) -> bytes:
        return mark.group("escaped") or self._sign


def _value(quoting: Quoting) -> re.Pattern[bytes]:
    """A value with the delimiter or the line end behind it."""
    delimiter, quote, escape = _signs(quoting)
    pair = b"|" + escape + rb"(?:\r\n|[\s\S])" if escape else b""
    bare = rb"(?P<bare>(?:[^" + delimiter + escape + rb"\r\n]++" + pair + b")*+)"
    within = rb"(?:[^" + quote + escape + rb"]++|" + quote + quote + pair + b")*+"
    behind = rb"(?P<behind>[^" + quote + delimiter + rb"\r\n][^" + delimiter + rb"\r\n]*+)?"
    quoted = quote + b"(?P<quoted>" + within + b")" + quote + behind + b"|(?!" + quote + b")"
    if not quote:
        quoted = b"(?P<quoted>(?!))(?P<behind>)|"  # which is never there
    return re.compile(b"(?:" + quoted + bare + b")(?P<end>" + delimiter + rb"|\r\n|\r|\n)")


def _marks(quoting: Quoting, doubled: bool) -> re.Pattern[bytes]:
    """What stands for another text in a value: an escaped character, and within quotes a doubled quote."""
    delimiter, quote, escape = _signs(quoting)
    escaped = rb"\r\n|[" + delimiter + quote + escape + rb"\r\n]" if escape else b"(?!)"
    pair = b"|" + quote + quote if quote and doubled else b""
    return re.compile(escape + b"(?P<escaped>" + escaped + b")" + pair)


def _signs(quoting: Quoting) -> tuple[bytes, bytes, bytes]:
    return re.escape(quoting.layout.delimiter or b","), re.escape(quoting.quote), re.escape(quoting.escape)
