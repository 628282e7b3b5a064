"""IntervalSet is a plain set, only smaller; `merged` joins neighbours and loses nothing."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.descriptors.intervals import IntervalSet, merged

NUMBERS = st.integers(0, 30)
CHANGES = st.lists(st.tuples(st.sampled_from(["add", "discard"]), NUMBERS), max_size=60)


def of(numbers: set[int]) -> IntervalSet:
    intervals = IntervalSet()
    for number in numbers:
        intervals.add(number)
    return intervals


@given(CHANGES)
@settings(deadline=None)
def test_it_behaves_like_a_set(changes: list[tuple[str, int]]) -> None:
    intervals, plain = IntervalSet(), set[int]()
    for change, number in changes:
        present = number in plain
        if change == "add":
            assert intervals.add(number) is not present
            plain.add(number)
        else:
            assert intervals.discard(number) is present
            plain.discard(number)
        assert len(intervals) == len(plain)
        assert list(intervals) == sorted(plain)
        assert [number in intervals for number in range(32)] == [number in plain for number in range(32)]


@given(st.sets(NUMBERS))
@settings(deadline=None)
def test_its_intervals_are_sorted_and_never_touch(numbers: set[int]) -> None:
    pairs = of(numbers).intervals()
    assert all(first <= last for first, last in pairs)
    assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(pairs))


@given(st.sets(NUMBERS))
@settings(deadline=None)
def test_its_intervals_make_it_again(numbers: set[int]) -> None:
    again = IntervalSet(of(numbers).intervals())
    assert set(again) == numbers
    assert len(again) == len(numbers)


@given(st.sets(NUMBERS), NUMBERS, st.integers(0, 3))
@settings(deadline=None)
def test_numbers_above_all_others_are_put_in_together_or_none_is(numbers: set[int], first: int, more: int) -> None:
    intervals, above = of(numbers), first > max(numbers, default=-1)
    assert intervals.append(first, first + more) is above
    expected = of(numbers | set(range(first, first + more + 1)) if above else numbers)
    assert intervals.intervals() == expected.intervals() and len(intervals) == len(expected)


@given(st.sets(NUMBERS))
@settings(deadline=None)
def test_it_can_be_emptied(numbers: set[int]) -> None:
    intervals = of(numbers)
    intervals.clear()
    assert list(intervals) == [] and len(intervals) == 0
    assert intervals.add(3)


@given(st.sets(NUMBERS), st.integers(0, 8))
@settings(deadline=None)
def test_merging_covers_what_was_there_and_gaps_of_that_size_only(numbers: set[int], gap: int) -> None:
    joined = merged(of(numbers).intervals(), gap)
    covered = {number for first, last in joined for number in range(first, last + 1)}
    assert numbers <= covered
    assert all(first in numbers and last in numbers for first, last in joined)
    assert all(first - last - 1 > gap for (_, last), (first, _) in itertools.pairwise(joined))
    for extra in covered - numbers:
        before = max(number for number in numbers if number < extra)
        after = min(number for number in numbers if number > extra)
        assert after - before - 1 <= gap


def test_a_million_dense_numbers_are_one_interval() -> None:
    intervals = IntervalSet([(0, 999_999)])
    intervals.add(1_000_000)
    assert intervals.intervals() == [(0, 1_000_000)]
    assert len(intervals) == 1_000_001
