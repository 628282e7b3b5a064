"""A dataset's own patterns, matched in time that grows with the text's length alone, as far as that can be done.

Python's patterns try one way after the other: where a text may match in many ways, one of thirty characters can take
them minutes, in which the worker does nothing else, for no job. RE2 follows all ways at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from re import _constants as names  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

import re2  # type: ignore[import-untyped]

from processor.validation.character_ranges import LAST, Ranges, others, written
from processor.validation.linear_patterns import UnknownPatternError, between_anchors, set_of, translated

Match = Callable[[str], Any]
"""Whether a whole text matches."""

_HALVES: Final = (0xD800, 0xDFFF)
"""Halves of characters, which no UTF-8 has."""
_CLASSES: Final = {
    names.CATEGORY_DIGIT: (r"\d", False),
    names.CATEGORY_NOT_DIGIT: (r"\d", True),
    names.CATEGORY_WORD: (r"\w", False),
    names.CATEGORY_NOT_WORD: (r"\w", True),
    names.CATEGORY_SPACE: (r"\s", False),
    names.CATEGORY_NOT_SPACE: (r"\s", True),
}
_MOST_REPEATS: Final = 1000
"""RE2 counts no further."""
_LONGEST: Final = 1 << 20
"""Characters of a pattern that is written out for RE2, at most."""


def matcher(pattern: re.Pattern[str]) -> Match:
    """`fullmatch` of this pattern. It is RE2's where Python's could take very long, and RE2 knows the same pattern."""
    if translated(pattern) is not None:
        return pattern.fullmatch  # the next character always tells how a match goes on: there is one way
    try:
        nodes = between_anchors(parser.parse(pattern.pattern))
        if pattern.flags & ~re.UNICODE:
            raise UnknownPatternError
        options = re2.Options()
        options.never_capture, options.log_errors = True, False
        return re2.compile(_sequence(nodes), options).fullmatch  # type: ignore[no-any-return]
    except (UnknownPatternError, RecursionError, re2.error):
        return pattern.fullmatch


def _sequence(nodes: Iterable[tuple[Any, Any]], counted: bool = False) -> str:
    """`counted`: within a repeat that is counted; RE2 multiplies such counts, and takes no more than a thousand."""
    return "".join(_node(kind, value, counted) for kind, value in nodes)


def _node(kind: Any, value: Any, counted: bool) -> str:
    if kind is names.LITERAL:
        return _one_of([(value, value)])
    if kind is names.NOT_LITERAL:
        return _one_of(others([(value, value)]))
    if kind is names.ANY:
        return _one_of(others([(0x0A, 0x0A)]))
    if kind is names.IN:
        return _one_of(set_of(value, _category))
    if kind is names.BRANCH:
        return f"(?:{'|'.join(_sequence(branch, counted) for branch in value[1])})"
    if kind is names.SUBPATTERN and not (value[1] or value[2]):
        return f"(?:{_sequence(value[3], counted)})"
    if kind in (names.MAX_REPEAT, names.MIN_REPEAT):
        least, most, nodes = value
        return _repeated(least, most, nodes, counted)
    raise UnknownPatternError


def _repeated(least: int, most: Any, nodes: Iterable[tuple[Any, Any]], counted: bool) -> str:
    endless = most is names.MAXREPEAT
    if max(least, 0 if endless else most) > _MOST_REPEATS:
        raise UnknownPatternError
    one = f"(?:{_sequence(nodes, counted or least > 1 or not (endless or most == 1))})"
    if not counted:
        return f"{one}{{{least},{'' if endless else most}}}"
    if len(one) * (least + 1 if endless else most) > _LONGEST:
        raise UnknownPatternError
    return one * least + (f"{one}*" if endless else f"{one}?" * (most - least))


def _category(value: Any, _negated: bool) -> Ranges | None:
    if value not in _CLASSES:
        return None
    text, negative = _CLASSES[value]
    return others(_of_class(text)) if negative else _of_class(text)


@cache
def _of_class(text: str) -> Ranges:
    """The characters that Python takes for one of this class; it takes a fifth of a second to find them."""
    everything = "".join(map(chr, range(LAST + 1)))
    return [(one.start(), one.end() - 1) for one in re.finditer(f"{text}+", everything)]


def _one_of(ranges: Iterable[tuple[int, int]]) -> str:
    left = others([*others(ranges), _HALVES])
    if not left:
        raise UnknownPatternError
    return written(left)
