"""Jobs share by rows, whatever their backlogs; and a rate holds over time."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.fair_turns import FairTurns
from processor.lanes.fairness import TokenBucket

SIZES = st.integers(1, 5000)


def give(turns: FairTurns, backlog: dict[str, list[int]], rounds: int) -> Counter[str]:
    """Rows given to each job in so many turns; a backlog is the sizes of a job's next batches."""
    given_rows: Counter[str] = Counter()
    for _ in range(rounds):
        job = turns.next([name for name, batches in backlog.items() if batches])
        if job is None:
            break
        rows = backlog[job].pop(0)
        turns.charge(job, rows)
        given_rows[job] += rows
    return given_rows


@given(st.lists(SIZES, min_size=40, max_size=40), st.lists(SIZES, min_size=40, max_size=40), st.integers(1, 40))
@settings(deadline=None)
def test_two_jobs_with_work_get_the_same_within_one_batch(one: list[int], other: list[int], rounds: int) -> None:
    rows = give(FairTurns(), {"a": list(one), "b": list(other)}, rounds)
    assert abs(rows["a"] - rows["b"]) <= max(one + other)


def test_a_job_of_20_million_rows_does_not_make_one_of_a_thousand_wait() -> None:
    turns = FairTurns()
    give(turns, {"big": [5000] * 400}, 400)
    backlog = {"big": [5000] * 3600, "a small one": [500, 500]}
    rows = give(turns, backlog, 4)
    assert rows["a small one"] == 1000
    assert rows["big"] <= 3 * 5000


def test_a_newcomer_gets_no_more_than_its_share_for_having_had_nothing() -> None:
    turns = FairTurns()
    give(turns, {"old": [1000] * 100}, 100)
    rows = give(turns, {"old": [1000] * 50, "new": [1000] * 50}, 20)
    assert rows["old"] == pytest.approx(rows["new"], abs=2000)


def test_a_job_that_was_idle_neither_pays_for_the_past_nor_is_paid_for_it() -> None:
    turns = FairTurns()
    give(turns, {"a": [1000] * 30}, 30)
    give(turns, {"b": [1000] * 90}, 90)
    rows = give(turns, {"a": [1000] * 50, "b": [1000] * 50}, 20)
    assert rows["a"] == pytest.approx(rows["b"], abs=2000)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), SIZES)
@settings(deadline=None)
def test_nobody_waits_longer_than_two_batches_of_each_other_job(extra: list[str], size: int) -> None:
    """However the others come and go, a job that has work gets its turn."""
    turns = FairTurns()
    waited = 0
    for name in extra:
        chosen = turns.next({name, "me"})
        assert chosen is not None
        turns.charge(chosen, size)
        waited = 0 if chosen == "me" else waited + 1
        assert waited <= 6


def test_nobody_waiting_is_nobodys_turn() -> None:
    assert FairTurns().next([]) is None


def test_a_job_that_is_over_is_forgotten() -> None:
    turns = FairTurns()
    turns.charge("a", 10_000)
    turns.forget("a")
    turns.forget("a")
    turns.charge("b", 10)
    assert turns.next(["a", "b"]) == "a"


# -- the rate --------------------------------------------------------------------------------------------------------


def rows_taken(bucket: TokenBucket, batch: int, seconds: float) -> int:
    """The rows of batches that are taken as soon as they are allowed."""
    now, rows = 100.0, 0
    while now <= 100.0 + seconds:
        wait = bucket.wait_seconds(now)
        if wait == 0:
            bucket.take(batch, now)
            rows += batch
        now += wait
    return rows


@given(st.floats(0.01, 20), st.integers(1, 5000))
@settings(max_examples=40, deadline=None)
def test_the_rate_holds_over_time_whatever_the_batches_are(batches_per_second: float, batch: int) -> None:
    rate, seconds = batch * batches_per_second, 50 / batches_per_second
    rows = rows_taken(TokenBucket(rate), batch, seconds)
    assert rows <= rate * seconds + batch + 1
    assert rows >= 0.9 * rate * seconds - batch


def test_more_than_there_is_makes_a_debt_that_the_next_one_waits_for() -> None:
    bucket = TokenBucket(rate=100)
    assert bucket.wait_seconds(0.0) == 0
    bucket.take(500, 0.0)
    assert bucket.wait_seconds(0.0) == pytest.approx(5, abs=0.1)
    assert bucket.wait_seconds(4.0) == pytest.approx(1, abs=0.1)
    assert bucket.wait_seconds(5.1) == 0


def test_a_long_rest_saves_up_one_second_only() -> None:
    bucket = TokenBucket(rate=100)
    bucket.take(1, 0.0)
    bucket.take(100, 3600.0)
    assert bucket.wait_seconds(3600.0) > 0


def test_the_first_rows_need_not_wait() -> None:
    assert TokenBucket(rate=0.1).wait_seconds(7.0) == 0
