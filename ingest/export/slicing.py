"""Cuts an export's rows into slices: a function of the distribution of the rows, and of the limit.

It counts nothing itself. It yields questions, and its caller sends the answers; in between it yields slices. The same
answers make the same slices: a reader that continues the export of another one cuts the same slices.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from msgspec.structs import replace

from schemas.messages.blocks import Span

K = TypeVar("K", int, str)

MOST_BUCKETS = 10_000
_BUCKETS_A_SLICE = 8
_FIRST_BUCKETS = 2 * _BUCKETS_A_SLICE
"""Buckets that the first question about dates asks for: a slice or two of rows that are spread evenly."""
_MORE_BUCKETS = 4
"""How many times as many each question asks for as the one before."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Asks for the first and the last date of a span's rows, in milliseconds since 1970. The answer: a tuple of
    both."""

    span: Span


@dataclass(frozen=True, slots=True)
class Dates:
    """How many rows from each date on, `width_ms` at a time, beginning at ``span.since``.

    The answer: (first millisecond, rows) of each stretch that has rows, in order.
    """

    span: Span
    width_ms: int


@dataclass(frozen=True, slots=True)
class Jobs:
    """How many rows of each job. The answer: (job id, rows), in order."""

    span: Span


@dataclass(frozen=True, slots=True)
class Rows:
    """How many rows with each row number, `width` numbers at a time. The answer: (first number, rows), in order."""

    span: Span
    width: int


Question = Bounds | Dates | Jobs | Rows


@dataclass(frozen=True, slots=True)
class Slice:
    """A span, and the number of its rows."""

    span: Span
    rows: int


@dataclass(frozen=True, slots=True)
class Group(Generic[K]):
    """Neighbouring parts, and the sum of their rows."""

    first: K
    last: K
    rows: int


class Grouping(Generic[K]):
    """Puts neighbours together as long as they have at most `most` rows; one that has more alone stays alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._group: Group[K] | None = None

    def add(self, counts: Iterable[tuple[K, int]]) -> Iterator[Group[K]]:
        """Take the next parts and their rows; yields the groups that are complete."""
        for key, rows in counts:
            group = self._group
            if group is not None and group.rows + rows <= self._most:
                self._group = Group(group.first, key, group.rows + rows)
                continue
            self._group = Group(key, key, rows)
            if group is not None:
                yield group

    def rest(self) -> Iterator[Group[K]]:
        """The last group, after the last part."""
        if self._group is not None:
            yield self._group
            self._group = None


def grouped(counts: Iterable[tuple[K, int]], most: int) -> Iterator[Group[K]]:
    """All groups of these parts and their rows; see `Grouping`."""
    grouping: Grouping[K] = Grouping(most)
    yield from grouping.add(counts)
    yield from grouping.rest()


def slices(span: Span, rows: int, most: int) -> Generator[Question | Slice, Any, None]:
    """The slices of a span that has `rows` rows, each with at most `most` of them, in order."""
    if rows <= most:
        if rows:
            yield Slice(span, rows)
    elif span.since < span.till:
        yield from _by_date(span, rows, most)
    elif span.jobs is None:
        yield from _by_job(span, most)
    else:
        found = yield Rows(span, most)
        for group in grouped(found, most):
            yield Slice(replace(span, rows=(group.first, group.last + most - 1)), group.rows)


def _by_date(span: Span, rows: int, most: int) -> Generator[Question | Slice, Any, None]:
    buckets = min(MOST_BUCKETS, _BUCKETS_A_SLICE * rows // most)
    width = -(-(span.till - span.since + 1) // buckets)
    groups: Grouping[int] = Grouping(most)
    # The first slices do not wait until all rows are counted. How many questions there are changes no slice.
    since, asked = span.since, _FIRST_BUCKETS
    while since <= span.till:
        till = min(since + asked * width - 1, span.till)
        found = yield Dates(replace(span, since=since, till=till), width)
        for group in groups.add(found):
            yield from _dates(group, span, width, most)
        since, asked = till + 1, asked * _MORE_BUCKETS
    for group in groups.rest():
        yield from _dates(group, span, width, most)


def _dates(group: Group[int], span: Span, width: int, most: int) -> Generator[Question | Slice, Any, None]:
    part = Span(since=group.first, till=min(group.last + width - 1, span.till))
    if group.rows > most:
        # One bucket has too many rows: ask again for a narrower span, between its first and its last row.
        first, last = yield Bounds(part)
        part = Span(since=first, till=last)
    yield from slices(part, group.rows, most)


def _by_job(span: Span, most: int) -> Generator[Question | Slice, Any, None]:
    found = yield Jobs(span)
    for group in grouped(found, most):
        yield from slices(replace(span, jobs=(group.first, group.last)), group.rows, most)
