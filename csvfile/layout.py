"""What is known of a file's lines before its header is read: the delimiter, and what stands in front. Pure."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import Final

from csvfile.grammar import DELIMITERS
from csvfile.text.encodings import encoding_named
from schemas.job import Format, Options

SIGNS: Final = {
    **{"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|", "hash": "#"},
    **{"single": "'", "double": '"', "backslash": "\\", "none": ""},
}
"""Name -> character, where a name is easier to write than the character."""
_DELIMITERS: Final = frozenset(string.punctuation) - {'"'} | {"\t"}
_COMMENTS: Final = frozenset(string.punctuation) - {'"'}
_QUOTES: Final = frozenset(string.punctuation) | {""}
_ESCAPES: Final = frozenset(string.punctuation)
_SEP_LINE: Final = re.compile(rb'("?)sep=([^\r\n"])\1[ \t,;]*+(?:\r\n|\n|\r)', re.IGNORECASE)
_LINE: Final = re.compile(rb"[^\r\n]*+(?:\r\n|\n|\r)")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the lines of a file are to be read."""

    delimiter: bytes | None = None
    """None: one of `DELIMITERS`."""
    skip_lines: int = 0
    comment: bytes | None = None

    @property
    def delimiters(self) -> tuple[bytes, ...]:
        """The delimiters that the header may have."""
        return DELIMITERS if self.delimiter is None else (self.delimiter,)


@dataclass(frozen=True, slots=True)
class Quoting:
    """Quotes and escapes that are not those of RFC 4180, and where they begin."""

    layout: Layout
    quote: bytes
    """Empty: there are no quotes."""
    escape: bytes
    """Empty: there is none."""


@dataclass(frozen=True, slots=True)
class Text:
    """How a file's text is written, as far as it has to be written anew."""

    encoding: str | None = None
    """One of `encoding_named`; None: UTF-8, or what the byte order mark says."""
    quoting: Quoting | None = None
    """None: that of RFC 4180."""


def text_by(options: Options) -> Text:
    """What a job's options say, which have no `layout_problem`."""
    quote, escape = sign(options.quote), sign(options.escape)
    quoting = None
    if quote not in (None, '"') or escape is not None:
        quoting = Quoting(layout_by(options), ('"' if quote is None else quote).encode(), (escape or "").encode())
    return Text(None if options.encoding is None else encoding_named(options.encoding), quoting)


def layout_by(options: Options) -> Layout:
    """What a job's options say, which have no `layout_problem`."""
    return _layout(_delimiter(options), options.skip_lines, sign(options.comment))


def layout_of(recorded: Format | None) -> Layout:
    """The layout that the API recorded when the file came."""
    return Layout() if recorded is None else _layout(recorded.delimiter, recorded.skip_lines, recorded.comment)


def _layout(delimiter: str | None, skip_lines: int, comment: str | None) -> Layout:
    return Layout(delimiter.encode() if delimiter else None, skip_lines, comment.encode() if comment else None)


def _delimiter(options: Options) -> str | None:
    """The delimiter, unless it is to be found in the header: a file is written anew before that is looked at."""
    anew = options.quote is not None or options.escape is not None
    return "," if anew and options.delimiter is None else sign(options.delimiter)


def format_of(options: Options, delimiter: bytes) -> Format | None:
    """What a job records of a file's lines, whose header has this delimiter; None: nothing, they are plain."""
    layout = layout_by(options)
    if layout == Layout() and delimiter == DELIMITERS[0]:
        return None
    return Format(delimiter=delimiter.decode(), skip_lines=layout.skip_lines, comment=sign(options.comment))


def layout_problem(options: Options) -> str | None:
    """Why a file can't be written as these options say; None: it can."""
    if options.encoding is not None and encoding_named(options.encoding) is None:
        return (
            f"encoding {options.encoding!r} is not known; use a name such as cp1252, iso8859-15, mac-roman, shift_jis, "
            "gb18030 or utf-16"
        )
    for name, text, allowed in (
        ("delimiter", options.delimiter, _DELIMITERS),
        ("comment", options.comment, _COMMENTS),
        ("quote", options.quote, _QUOTES),
        ("escape", options.escape, _ESCAPES),
    ):
        if text is not None and sign(text) not in allowed:
            names = ", ".join(known for known, meant in SIGNS.items() if meant in allowed and known.isalpha())
            sort = "a character of ASCII that is no letter, digit or space"
            return f"{name} {text!r} can't be used; give {sort}, or {names}"
    quote = '"' if options.quote is None else sign(options.quote)
    signs = [found for found in (_delimiter(options), sign(options.comment), quote, sign(options.escape)) if found]
    if len(set(signs)) < len(signs):
        return f"delimiter, comment, quote and escape have to be different characters, not {' '.join(signs)}"
    return None


def recorded_format_problem(recorded: Format | None) -> str | None:
    """Why a file can't be read as its job says that it is written; None: it can."""
    if recorded is None:
        return None
    if recorded.delimiter is not None and recorded.delimiter not in _DELIMITERS:
        return f"source.format.delimiter {recorded.delimiter!r} can't be used"
    if recorded.comment is not None and recorded.comment not in _COMMENTS:
        return f"source.format.comment {recorded.comment!r} can't be used"
    return None


def sign(text: str | None) -> str | None:
    """The character that a text names."""
    return None if text is None else SIGNS.get(text.lower(), text)


def first_line(head: bytes, start: int, layout: Layout) -> int:
    """Index behind the lines in front of the header that `layout` says are none of it; the rest of `head` if it ends
    before that. Blank lines stay.
    """
    for _ in range(layout.skip_lines):
        found = _LINE.match(head, start)
        start = found.end() if found else len(head)
    return behind_comments(head, start, layout)


def behind_comments(head: bytes, start: int, layout: Layout) -> int:
    """Index behind the lines from `start` on that begin with the comment character, and the blank ones in front."""
    if layout.comment is None:
        return start
    line = rb"(?:[ \t]*+[\r\n])*+" + re.escape(layout.comment) + rb"[^\r\n]*+[\r\n]"
    found = re.compile(b"(?:" + line + b")*+").match(head, start)
    return found.end() if found else start


def separator_line(head: bytes, start: int) -> tuple[bytes, int] | None:
    """The delimiter that a line ``sep=;`` tells, which spreadsheets write first, and the index behind it.

    It may be in quotes, and a program that gives each line as many delimiters may have put some behind it.
    """
    found = _SEP_LINE.match(head, start)
    if found is None or found.group(2).decode("latin-1") not in _DELIMITERS:
        return None
    return found.group(2), found.end()
