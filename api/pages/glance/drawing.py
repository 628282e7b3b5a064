"""Where the lines of a drawing go: a job's rows over time as paths of SVG, which a template draws. Pure.

Paths lie in a field of `WIDE` by `HIGH`, which is stretched to the page's width; places of texts are percentages of it,
so that texts keep their size. The same drawing fits a phone and a wide screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from api.glance.models import Point, Series
from api.pages.glance.marks import Label, Line, labels, lines

WIDE: Final = 1000
HIGH: Final = 100
_NICE: Final = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Path:
    """A path, and the class that says how it looks."""

    kind: Literal["rate", "done", "undone"]
    d: str


@dataclass(frozen=True, slots=True)
class Plot:
    """One drawing."""

    paths: list[Path]
    top: float
    """The value at its upper edge."""
    lines: list[Line]
    labels: list[Label]


def rates(series: Series) -> Plot:
    """Rows a second over time."""
    top = ceiling(max((point.rows_per_second for point in series.points), default=0))
    corners = " ".join(
        f"L{_x(place(series, point.at))},{_y(point.rows_per_second, top)} "
        f"L{_x(_end(series, point))},{_y(point.rows_per_second, top)}"
        for point in series.points
    )
    return Plot([Path("rate", f"M0,{HIGH} {corners} L{WIDE},{HIGH} Z")], top, *_marks(series))


def sums(series: Series) -> Plot:
    """Rows done so far, and rows taken out so far, of all the job's rows."""
    done = [point.rows_done for point in series.points]
    undone = [point.rows_undone for point in series.points]
    top = max(series.rows_total or 0, 1, *done, *undone)
    paths = [Path("done", _line(series, done, top))]
    if any(undone):
        paths.append(Path("undone", _line(series, undone, top)))
    return Plot(paths, top, *_marks(series))


def spark(values: Sequence[float]) -> str:
    """The path of a small picture of rows a second; empty: there is nothing to draw."""
    top, step = max(values, default=0) or 1, WIDE / max(1, len(values))
    return " ".join(
        f"M{index * step:.1f},{HIGH}V{_y(value, top)}h{step:.1f}V{HIGH}" for index, value in enumerate(values) if value
    )


def ceiling(value: float) -> float:
    """The least round number that is not below `value`: 1, 2, 2.5 or 5, times a power of ten; at least 1."""
    if value <= 1:
        return 1
    power = 10 ** (len(str(int(value))) - 1)
    return float(next(nice * power for nice in _NICE if nice * power >= value))


def place(series: Series, at: str) -> float:
    """Where a time lies between the beginning and the end, from 0 to 1."""
    since = _seconds(series.since)
    return min(1.0, max(0.0, (_seconds(at) - since) / _length(series)))


def _end(series: Series, point: Point) -> float:
    return min(1.0, place(series, point.at) + point.seconds / _length(series))


def _length(series: Series) -> float:
    return max(0.001, _seconds(series.until) - _seconds(series.since))


def _seconds(iso: str | None) -> float:
    return datetime.fromisoformat(iso or "1970-01-01T00:00:00Z").timestamp()


def _x(share: float) -> str:
    return f"{WIDE * share:.1f}"


def _y(value: float, top: float) -> str:
    return f"{HIGH * (1 - value / top):.1f}"


def _line(series: Series, values: Sequence[int], top: float) -> str:
    corners = (
        f"L{_x(_end(series, point))},{_y(value, top)}" for point, value in zip(series.points, values, strict=True)
    )
    return f"M0,{HIGH} {' '.join(corners)}"


def _marks(series: Series) -> tuple[list[Line], list[Label]]:
    shares = [place(series, mark.at) for mark in series.marks]
    return lines([(mark.event, share) for mark, share in zip(series.marks, shares, strict=True)]), labels(shares)
