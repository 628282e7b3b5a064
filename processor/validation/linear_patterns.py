"""Patterns of fields for RE2, which looks at a column's JSON as a whole, in time that grows with its length alone.

A pattern in Python's syntax is translated so that it matches fewer texts, if not the same: what RE2 finds to be good is
good, and everything else is looked at by Python's own patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from re import _constants as names  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final, NamedTuple

import re2  # type: ignore[import-untyped]

Ranges = list[tuple[int, int]]

_MEMORY_BYTES: Final = 2 << 20
"""For what RE2 remembers of one pattern."""
_ENDLESS: Final = 1 << 32
_LAST: Final = 0x10FFFF
_ESCAPED: Final = [(0x00, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0xD800, 0xDFFF)]
"""Characters that have no place in JSON as they are, or would end a text."""
SPACES: Final = [
    *((0x09, 0x0D), (0x1C, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
    *((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)),
]
r"""What ``\s`` stands for in Python's patterns."""
_FEWER: Final = {
    names.CATEGORY_DIGIT: [(0x30, 0x39)],
    names.CATEGORY_WORD: [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)],
}
r"""Of what ``\d`` and ``\w`` stand for, which is more with each version of Unicode."""
_LINE_END: Final = [(0x0A, 0x0A)]


class _UnknownError(Exception):
    """There is no such pattern for RE2, or none that is known to match no more."""


class ValuePattern(NamedTuple):
    """What RE2 matches a value with."""

    text: str
    shortest: int
    """Characters of a value that matches, at least."""
    longest: int
    """And at most."""


def at_least(characters: int) -> ValuePattern:
    """For values of at least so many characters; `compile_column` takes it up to a thousand of them."""
    return ValuePattern(f"{_text([(0, _LAST)])}{{{characters},}}", characters, _ENDLESS)


def compile_column(value: ValuePattern) -> Any | None:
    """A pattern, for `fullmatch`, of a column's JSON whose values all match, with a comma behind each of them.

    None: RE2 would not take it.
    """
    options = re2.Options()
    options.never_capture, options.log_errors, options.max_mem = True, False, _MEMORY_BYTES
    try:
        return re2.compile(f'(?:"(?:{value.text})",)*', options)
    except re2.error:
        return None


def translated(pattern: re.Pattern[str], trusted: bool = False) -> ValuePattern | None:
    """What RE2 is to match a value with, in the place of a pattern for `fullmatch`; None: there is nothing.

    `trusted`: the pattern is our own, and is possessive for its speed alone: it matches the same without.
    """
    if pattern.flags & ~re.UNICODE:
        return None
    parsed = parser.parse(pattern.pattern)
    shortest, longest = parsed.getwidth()
    nodes = list(parsed)
    if nodes and nodes[0] == (names.AT, names.AT_BEGINNING):
        nodes = nodes[1:]
    if nodes and nodes[-1] in ((names.AT, names.AT_END), (names.AT, names.AT_END_STRING)):
        nodes = nodes[:-1]
    try:
        return ValuePattern(_sequence(nodes, trusted), shortest, longest)
    except _UnknownError:
        return None


def _sequence(nodes: Iterable[tuple[Any, Any]], trusted: bool) -> str:
    return "".join(_node(kind, value, trusted) for kind, value in nodes)


def _node(kind: Any, value: Any, trusted: bool) -> str:
    if kind is names.LITERAL:
        return _text([(value, value)])
    if kind is names.NOT_LITERAL:
        return _text(_others([(value, value)]))
    if kind is names.ANY:
        return _text(_others(_LINE_END))
    if kind is names.IN:
        return _text(_set(value))
    if kind is names.BRANCH:
        return f"(?:{'|'.join(_sequence(branch, trusted) for branch in value[1])})"
    if kind is names.SUBPATTERN:
        _, added, removed, nodes = value
        if added or removed:
            raise _UnknownError
        return f"(?:{_sequence(nodes, trusted)})"
    if kind in (names.MAX_REPEAT, names.MIN_REPEAT) or (trusted and kind is names.POSSESSIVE_REPEAT):
        least, most, nodes = value
        end = "" if most is names.MAXREPEAT else most
        return f"(?:{_sequence(nodes, trusted)}){{{least},{end}}}"
    raise _UnknownError


def _set(items: Sequence[tuple[Any, Any]]) -> Ranges:
    negated = bool(items) and items[0][0] is names.NEGATE
    found: Ranges = []
    for kind, value in items[negated:]:
        if kind is names.LITERAL:
            found.append((value, value))
        elif kind is names.RANGE:
            found.append(value)
        elif kind is names.CATEGORY and value is names.CATEGORY_SPACE:
            found += SPACES
        elif kind is names.CATEGORY and value is names.CATEGORY_NOT_SPACE:
            found += _others(SPACES)
        elif kind is names.CATEGORY and value in _FEWER and not negated:
            found += _FEWER[value]
        else:
            raise _UnknownError
    return _others(found) if negated else found


def _others(ranges: Ranges) -> Ranges:
    """All characters but these."""
    left, at = [], 0
    for first, last in sorted(ranges):
        if first > at:
            left.append((at, first - 1))
        at = max(at, last + 1)
    return [*left, (at, _LAST)] if at <= _LAST else left


def _text(ranges: Ranges) -> str:
    """A set of characters, without those that are escaped in JSON."""
    left = _others([*_others(ranges), *_ESCAPED])
    if not left:
        raise _UnknownError
    return "[" + "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in left) + "]"
