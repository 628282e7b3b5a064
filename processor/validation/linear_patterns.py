"""Patterns of fields for RE2, which looks at a column's JSON as a whole, in time that grows with its length alone.

A pattern in Python's syntax is translated so that it matches fewer texts, if not the same: what RE2 finds to be good is
good, and everything else is looked at by Python's own patterns. So are patterns that would take RE2 long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from re import _constants as names  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final, NamedTuple

import re2  # type: ignore[import-untyped]

from processor.validation.character_ranges import LAST, Ranges, others, written

_MEMORY_BYTES: Final = 2 << 20
"""For what RE2 remembers of one pattern."""
_MOST_STEPS: Final = 4_000
"""Instructions of a pattern in RE2, at most."""
_ENDLESS: Final = 1 << 32
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


class UnknownPatternError(Exception):
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
    return ValuePattern(f"{_one_of([(0, LAST)]).text}{{{characters},}}", characters, _ENDLESS)


def compile_column(value: ValuePattern) -> Any | None:
    """A pattern, for `fullmatch`, of a column's JSON whose values all match, with a comma behind each of them.

    None: RE2 would not take it, or it is so large that its states would not all find room.
    """
    options = re2.Options()
    options.never_capture, options.log_errors, options.max_mem = True, False, _MEMORY_BYTES
    try:
        found = re2.compile(f'(?:"(?:{value.text})",)*', options)
    except re2.error:
        return None
    return found if found.programsize <= _MOST_STEPS else None


def translated(pattern: re.Pattern[str], trusted: bool = False) -> ValuePattern | None:
    """What RE2 is to match a value with, in the place of a pattern for `fullmatch`; None: there is nothing.

    `trusted`: the pattern is our own: it is possessive for its speed alone, and RE2 is fast with it.
    """
    if pattern.flags & ~re.UNICODE:
        return None
    try:
        parsed = parser.parse(pattern.pattern)
        return ValuePattern(_Translation(trusted).sequence(between_anchors(parsed)).text, *parsed.getwidth())
    except (UnknownPatternError, RecursionError):
        return None


def between_anchors(parsed: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """A pattern without what marks the value's beginning and end: `fullmatch` does not need it."""
    nodes = list(parsed)
    if nodes and nodes[0] in ((names.AT, names.AT_BEGINNING), (names.AT, names.AT_BEGINNING_STRING)):
        nodes = nodes[1:]
    if nodes and nodes[-1] in ((names.AT, names.AT_END), (names.AT, names.AT_END_STRING)):
        nodes = nodes[:-1]
    return nodes


class _Part(NamedTuple):
    """A piece of a pattern."""

    text: str
    first: Ranges
    """What a match may begin with."""
    empty: bool = False
    """Whether it matches nothing, too."""
    more: Sequence[tuple[int, int]] = ()
    """What a match may go on with where it might as well end."""


class _Translation:
    """Of one pattern. Where a match may go on in two ways, the next character has to tell which one it is, unless the
    pattern is our own. Else RE2's automaton may need a state for each set of places in the pattern, and take a thousand
    times as long as Python.
    """

    def __init__(self, trusted: bool) -> None:
        self._trusted = trusted

    def sequence(self, nodes: Iterable[tuple[Any, Any]]) -> _Part:
        """Pieces, one after the other."""
        found = _Part("", [], True)
        for kind, value in nodes:
            part = self._node(kind, value)
            self._require_apart(found.more, part.first)
            found = _Part(
                found.text + part.text,
                found.first + part.first if found.empty else found.first,
                found.empty and part.empty,
                [*found.more, *part.more] if part.empty else part.more,
            )
        return found

    def _node(self, kind: Any, value: Any) -> _Part:
        if kind is names.LITERAL:
            return _one_of([(value, value)])
        if kind is names.NOT_LITERAL:
            return _one_of(others([(value, value)]))
        if kind is names.ANY:
            return _one_of(others(_LINE_END))
        if kind is names.IN:
            return _one_of(set_of(value, _category))
        if kind is names.BRANCH:
            return self._branches([self.sequence(branch) for branch in value[1]])
        if kind is names.SUBPATTERN and not (value[1] or value[2]):
            inner = self.sequence(value[3])
            return inner._replace(text=f"(?:{inner.text})")
        if kind in (names.MAX_REPEAT, names.MIN_REPEAT) or (self._trusted and kind is names.POSSESSIVE_REPEAT):
            least, most, nodes = value
            return self._repeated(least, most, self.sequence(nodes))
        raise UnknownPatternError

    def _branches(self, parts: Sequence[_Part]) -> _Part:
        first: Ranges = []
        for part in parts:
            self._require_apart(first, part.first)
            first += part.first
        empty = sum(part.empty for part in parts)
        if empty > 1:
            raise UnknownPatternError
        more = [*(characters for part in parts for characters in part.more), *(first if empty else [])]
        return _Part(
            f"(?:{'|'.join(part.text for part in parts)})", first, bool(empty), more + first if empty else more
        )

    def _repeated(self, least: int, most: Any, inner: _Part) -> _Part:
        if inner.empty:
            raise UnknownPatternError
        self._require_apart(inner.more, inner.first)
        end = "" if most is names.MAXREPEAT else most
        more = inner.more if least == most else [*inner.more, *inner.first]
        return _Part(f"(?:{inner.text}){{{least},{end}}}", inner.first, not least, more)

    def _require_apart(self, one: Iterable[tuple[int, int]], other: Ranges) -> None:
        if not self._trusted and any(low <= last and first <= high for first, last in one for low, high in other):
            raise UnknownPatternError


def set_of(items: Sequence[tuple[Any, Any]], category: Callable[[Any, bool], Ranges | None]) -> Ranges:
    r"""The characters of a set in a pattern.

    `category(one, negated)`: those of a class such as ``\d``, in a set that is negated or not; None: there is no
    translation.

    Raises:
        UnknownPatternError: it can't be translated.
    """
    negated = bool(items) and items[0][0] is names.NEGATE
    found: Ranges = []
    for kind, value in items[negated:]:
        if kind is names.LITERAL:
            found.append((value, value))
        elif kind is names.RANGE:
            found.append(value)
        elif kind is names.CATEGORY and (characters := category(value, negated)) is not None:
            found += characters
        else:
            raise UnknownPatternError
    return others(found) if negated else found


def _category(value: Any, negated: bool) -> Ranges | None:
    if value is names.CATEGORY_SPACE:
        return SPACES
    if value is names.CATEGORY_NOT_SPACE:
        return others(SPACES)
    return None if negated else _FEWER.get(value)


def _one_of(ranges: Ranges) -> _Part:
    """A set of characters, without those that are escaped in JSON."""
    left = others([*others(ranges), *_ESCAPED])
    if not left:
        raise UnknownPatternError
    return _Part(written(left), left)
