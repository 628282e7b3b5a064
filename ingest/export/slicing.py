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


def grouped(counts: Iterable[tuple[K, int]], most: int) -> Iterator[Group[K]]:
    """Neighbours together as long as they have at most `most` rows; one that has more alone stays alone."""
    group: Group[K] | None = None
    for key, rows in counts:
        if group is not None and group.rows + rows <= most:
            group = Group(group.first, key, group.rows + rows)
            continue
        if group is not None:
            yield group
        group = Group(key, key, rows)
    if group is not None:
        yield group


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
    found = yield Dates(span, width)
    for group in grouped(found, most):
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
