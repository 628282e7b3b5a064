"""Rows by whose distance two columns fit: in a good file it is nought for nearly all of them. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

MOST_ROWS = 20
"""How many rows away a value is looked for, at most."""
LEAST_LINKS = 8
FIT = 0.5
"""At least this share of the rows that could be told must fit at the distance that is named."""
AHEAD = 3.0
"""Rows must fit at that distance at least this many times as often as at any other."""


@dataclass(slots=True)
class Lags:
    """Distance -> how many rows fit there."""

    told: int = 0
    """Rows that could be told."""
    counts: Counter[int] = field(default_factory=Counter)

    def note(self, distances: Iterable[int]) -> None:
        """One row, and the distances at which it fits."""
        self.told += 1
        self.counts.update(distances)

    @property
    def fitting(self) -> float:
        """The share of rows that fit where they stand."""
        return self.counts[0] / self.told if self.told else 0.0

    def stand(self) -> bool:
        """Whether so many rows fit where they stand that `shift` finds nothing, whatever fits elsewhere."""
        return AHEAD * self.counts[0] > self.told

    def shift(self, expected: float = 1.0) -> int | None:
        """The one distance, not nought, at which the rows fit; None: there is none. `expected`: of a good file's rows,
        this share fits.
        """
        if self.told < LEAST_LINKS or not self.counts:
            return None
        (lag, count), *others = self.counts.most_common(2)
        second = others[0][1] if others else 0
        # The rows at the end of the file have nothing so far away.
        reachable = max(1, self.told - abs(lag))
        if not lag or count < max(LEAST_LINKS, FIT * expected * reachable) or count < AHEAD * second:
            return None
        return lag


def places_of(values: Sequence[Hashable]) -> Mapping[Hashable, list[int]]:
    """Value -> the rows that have it."""
    found: dict[Hashable, list[int]] = {}
    for place, value in enumerate(values):
        found.setdefault(value, []).append(place)
    return found


def near(places: Sequence[int], row: int) -> list[int]:
    """The distances of those of `places`, which are in order, that are not too far from `row`."""
    first, end = bisect_left(places, row - MOST_ROWS), bisect_right(places, row + MOST_ROWS)
    return [place - row for place in places[first:end]]
