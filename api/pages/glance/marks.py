"""Marks of a drawing: a line each, and their numbers where none lies over another, whatever the screen's width. Pure.

The width is not known here, so numbers are placed for the narrowest one: marks that are nearly one share a label
(``2-4``), and labels that would touch stand one below the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

_NARROWEST_PX: Final = 260
_DIGIT_PX: Final = 8
_GAP_PX: Final = 8
_TOGETHER: Final = (0.03, 0.06, 0.12, 0.25, 1.0)
"""Marks that are no further apart, as a share of the width, have one label: the first of these for which all fit."""
_LEVELS: Final = 7
"""Rows of labels, one below the other, that fit into a drawing."""
_KINDS: Final = {"Failed": "bad", "Paused": "held", "Resumed": "on"}
_ON_TOP: Final = ("other", "on", "held", "bad")
"""Kinds of lines, as they are drawn: of lines in one place the last one is seen."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line across, for a mark."""

    kind: str
    percent: str


@dataclass(frozen=True, slots=True)
class Label:
    """The number of a mark, or of the first and the last of several."""

    text: str
    percent: str
    side: Literal["start", "end"]
    """Which end of the text is at its place: the other one is nearer to the middle."""
    level: int
    """From the top; 0 is the first."""


def lines(marks: Sequence[tuple[str, float]]) -> list[Line]:
    """Lines for marks: the event and the place, from 0 to 1, of each."""
    found = [Line(_KINDS.get(event, "other"), _percent(share)) for event, share in marks]
    return sorted(found, key=lambda line: _ON_TOP.index(line.kind))


def labels(shares: Sequence[float]) -> list[Label]:
    """Labels for marks at these places, from 0 to 1, in their order."""
    return next(fitting for apart in _TOGETHER if (fitting := _labels(shares, apart)) is not None)


def _labels(shares: Sequence[float], apart: float) -> list[Label] | None:
    """None: there is no room for them all."""
    found: list[Label] = []
    taken: list[tuple[int, float, float]] = []
    for first, last in _together(shares, apart):
        text = str(first + 1) if first == last else f"{first + 1}-{last + 1}"
        ends = shares[first] > 0.5
        at = shares[first] if ends else shares[last]
        width = (len(text) * _DIGIT_PX + _GAP_PX) / _NARROWEST_PX
        left, right = (at - width, at) if ends else (at, at + width)
        held = {level for level, begin, end in taken if begin < right and left < end}
        level = next((free for free in range(_LEVELS) if free not in held), None)
        if level is None:
            return None
        taken.append((level, left, right))
        found.append(Label(text, _percent(at), "end" if ends else "start", level))
    return found


def _together(shares: Sequence[float], apart: float) -> Iterator[tuple[int, int]]:
    """The first and the last of each run of marks, none of which is further from the first one than `apart`."""
    first = 0
    for place in range(1, len(shares) + 1):
        if place == len(shares) or shares[place] - shares[first] > apart:
            yield first, place - 1
            first = place


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"
