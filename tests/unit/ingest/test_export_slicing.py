"""How an export's rows are cut into slices: whole, in order, within the limit, the same each time."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.export import slicing
from ingest.export.slicing import MOST_BUCKETS, Bounds, Dates, Jobs, Question, Rows, Slice, grouped, slices
from schemas.messages.blocks import Span

MOST = 10


class Row(NamedTuple):
    """A document's place in the order."""

    date: int
    job: str
    number: int


def within(rows: list[Row], span: Span) -> list[Row]:
    return [
        row
        for row in rows
        if span.since <= row.date <= span.till
        and (span.jobs is None or span.jobs[0] <= row.job <= span.jobs[1])
        and (span.rows is None or span.rows[0] <= row.number <= span.rows[1])
    ]


def answer(rows: list[Row], question: Question) -> Any:
    """What Elasticsearch would say."""
    found = within(rows, question.span)
    match question:
        case Bounds():
            return min(row.date for row in found), max(row.date for row in found)
        case Dates(span, width):
            assert span.till - span.since < width * MOST_BUCKETS, "more buckets than Elasticsearch likes"
            keys = [span.since + (row.date - span.since) // width * width for row in found]
        case Jobs():
            return sorted(Counter(row.job for row in found).items())
        case Rows(_, width):
            keys = [row.number // width * width for row in found]
    return sorted(Counter(keys).items())


def cut(rows: list[Row], most: int = MOST) -> list[Slice]:
    if not rows:
        return []
    span = Span(since=min(row.date for row in rows), till=max(row.date for row in rows))
    found, sent = [], None
    cutting = slices(span, len(rows), most)
    try:
        while True:
            item = cutting.send(sent)
            sent = None
            if isinstance(item, Slice):
                found.append(item)
            else:
                sent = answer(rows, item)
    except StopIteration:
        return found


def assert_cut(rows: list[Row], most: int = MOST) -> list[Slice]:
    found = cut(rows, most)
    pieces = [sorted(within(rows, piece.span)) for piece in found]
    assert [piece.rows for piece in found] == [len(piece) for piece in pieces]
    assert all(0 < len(piece) <= most for piece in pieces)
    assert [row for piece in pieces for row in piece] == sorted(rows)
    assert cut(rows, most) == found
    return found


DATES = st.integers(0, 3) | st.integers(-(10**13), 10**13)
ROWS = st.lists(
    st.builds(Row, DATES, st.sampled_from("abc"), st.integers(1, 500)),
    unique_by=lambda row: (row.job, row.number),
    max_size=150,
)


@given(ROWS)
def test_slices_are_whole_in_order_and_within_the_limit(rows: list[Row]) -> None:
    assert_cut(rows)


def test_rows_spread_evenly_fill_their_slices() -> None:
    rows = [Row(number * 1000, "a", number) for number in range(1, 5001)]
    assert len(assert_cut(rows, 100)) < 60


def test_the_first_slices_do_not_wait_until_all_rows_are_counted() -> None:
    rows = [Row(number * 1000, "a", number) for number in range(1, 20_001)]
    counted, cutting, sent = 0, slices(Span(since=1000, till=20_000_000), len(rows), MOST), None
    while not isinstance(item := cutting.send(sent), Slice):
        counted, sent = counted + len(within(rows, item.span)), answer(rows, item)
    assert counted <= 5 * MOST


@given(ROWS, st.integers(1, 60))
def test_slices_are_those_of_one_question(rows: list[Row], most: int) -> None:
    found = cut(rows, most)
    with patch.object(slicing, "_FIRST_BUCKETS", MOST_BUCKETS):
        assert cut(rows, most) == found


def test_a_whole_file_of_one_date_is_cut_by_its_rows() -> None:
    rows = [Row(7, "a", number) for number in range(1, 96)]
    found = assert_cut(rows)
    assert {piece.span.jobs for piece in found} == {("a", "a")}


def test_small_jobs_of_one_date_share_slices() -> None:
    rows = [Row(7, f"job-{job:02}", number) for job in range(20) for number in (1, 2, 3)]
    assert [piece.rows for piece in assert_cut(rows)] == [9] * 6 + [6]


def test_a_few_rows_are_one_slice_without_a_question() -> None:
    assert list(slices(Span(since=1, till=9), 10, 10)) == [Slice(Span(since=1, till=9), 10)]
    assert list(slices(Span(since=1, till=9), 0, 10)) == []


@pytest.mark.parametrize(
    ("counts", "groups"),
    [
        ([], []),
        ([(1, 4), (2, 6), (3, 1)], [(1, 2, 10), (3, 3, 1)]),
        ([(1, 4), (2, 60), (3, 1)], [(1, 1, 4), (2, 2, 60), (3, 3, 1)]),
    ],
)
def test_neighbours_are_grouped(counts: list[tuple[int, int]], groups: list[tuple[int, int, int]]) -> None:
    assert [(group.first, group.last, group.rows) for group in grouped(counts, 10)] == groups
