"""Which connections exceed a time limit, and when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from api.web.connection_timeouts import ConnectionTimeouts, Limits, Snapshot

LIMITS = Limits(connections=10, head_seconds=20, pause_seconds=60, bytes_per_second=500)


def seen(seconds: Iterable[int], **values: Any) -> Iterable[Snapshot]:
    """A connection once a second; a value may be a function of the second."""
    for at in seconds:
        given = {name: value(at) if callable(value) else value for name, value in values.items()}
        yield Snapshot(
            **{"at": float(at), "requests": 1, "awaited": "nothing", "received": 0, "unsent": 0, "fetches": 0, **given}
        )


def ends(snapshots: Iterable[Snapshot]) -> tuple[float, str] | None:
    """When a limit is exceeded, and which; None: no limit is."""
    timeouts = ConnectionTimeouts(LIMITS, 0.0)
    for snapshot in snapshots:
        exceeded = timeouts.exceeded(snapshot)
        if exceeded is not None:
            return snapshot.at, exceeded
    return None


def test_a_head_that_does_not_come_ends_the_connection_however_it_drips() -> None:
    assert ends(seen(range(1, 60), awaited="head", received=lambda at: at)) == (21.0, "head")


def test_heads_that_come_in_time_may_be_many() -> None:
    assert ends(seen(range(1, 600), awaited="head", requests=lambda at: at // 15)) is None


def test_a_body_may_pause_for_a_minute_and_no_longer() -> None:
    assert ends(seen(range(1, 200), awaited="body", received=lambda at: 0 if at < 60 else 100_000 * at)) is None
    assert ends(seen(range(1, 200), awaited="body", received=10**9)) == (62.0, "body")


def test_a_body_that_drips_is_too_slow_even_after_a_quick_beginning() -> None:
    end = ends(seen(range(1, 600), awaited="body", received=lambda at: 10**9 + at))
    assert end is not None
    assert end[1] == "body"
    assert end[0] <= 2 * LIMITS.window_seconds + 2


@given(st.integers(min_value=510, max_value=10**6))
def test_a_slow_line_that_keeps_the_rate_is_served_for_hours(rate: int) -> None:
    assert ends(seen(range(1, 4000), awaited="body", received=lambda at: rate * at)) is None


def test_time_in_which_the_api_is_slow_does_not_count() -> None:
    assert ends(seen(range(1, 4000), awaited="nothing", received=5)) is None


def test_an_answer_that_nobody_fetches_ends_the_connection() -> None:
    assert ends(seen(range(1, 400), unsent=50_000)) == (62.0, "answer")


def test_an_answer_that_is_fetched_a_byte_now_and_then_ends_it_too() -> None:
    end = ends(seen(range(1, 400), unsent=lambda at: 50_000 - at))
    assert end is not None
    assert end[1] == "answer"
    assert 160 <= end[0] <= 165  # a minute, and what the least rate takes


def test_an_answer_that_is_fetched_slowly_comes_to_its_end() -> None:
    assert ends(seen(range(1, 4000), unsent=50_000, fetches=lambda at: at // 50)) is None
    assert ends(seen(range(1, 900), unsent=lambda at: 500_000 - 550 * at)) is None


def test_a_connection_that_is_closing_is_not_held_open_by_what_nobody_fetches() -> None:
    assert ends(seen(range(1, 400), unsent=10, closing=True, awaited="head")) is not None
