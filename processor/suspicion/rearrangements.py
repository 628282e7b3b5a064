"""The ways in which the columns of a file may have got into each other's places. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

MOST_PLACES = 3
"""Places by which columns are moved, at most."""
_LEAST_RUN = 3
_MOST_SPANS = 2000


@dataclass(frozen=True, slots=True)
class Rearrangement:
    """Columns whose values belong to other fields: place -> the place whose field they belong to."""

    moved: tuple[tuple[int, int], ...]
    by: int = 0
    """Places to the right by which all the columns were moved, the last to the front; negative: to the left; 0: two
    columns were exchanged."""

    @property
    def places(self) -> tuple[int, ...]:
        """The places in question, in order."""
        return tuple(sorted(place for place, _ in self.moved))


def exchanges(places: Sequence[int]) -> Iterator[Rearrangement]:
    """Each pair of columns, exchanged."""
    for one, other in combinations(places, 2):
        yield Rearrangement(((one, other), (other, one)))


def moves(places: Sequence[int], odd: Collection[int] = ()) -> Iterator[Rearrangement]:
    """Each run of at least three columns that has all of `odd` in it, moved by one to three places; short runs first.

    `places` are in the file's order.
    """
    at = [index for index, place in enumerate(places) if place in odd]
    low, high = min(at, default=len(places) - 1), max(at, default=0)
    spans = (
        (first, last) for first in range(low + 1) for last in range(max(high, first + _LEAST_RUN - 1), len(places))
    )
    nearest = sorted(_first(spans), key=lambda span: (span[1] - span[0], span[0]))
    for first, last in nearest:
        run = places[first : last + 1]
        for by in range(1, min(MOST_PLACES, len(run) // 2) + 1):
            for signed in (by, -by):
                if 2 * by < len(run) or signed > 0:  # half a turn to the left is one to the right
                    yield Rearrangement(
                        tuple((run[(index + signed) % len(run)], place) for index, place in enumerate(run)), signed
                    )


def moved_words(named: Sequence[str], by: int) -> str:
    """A sentence: the values of these columns are in the wrong ones."""
    way = "right" if by > 0 else "left"
    return f"the values from {named[0]} to {named[-1]} look moved by {_columns(abs(by))} to the {way}"


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _first(spans: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    return [span for _, span in zip(range(_MOST_SPANS), spans, strict=False)]
