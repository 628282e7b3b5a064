"""The pauses between the tries of a request."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from client.protocol.retrying import RETRIED
from runtime.network.retrying import RETRIED_STATUSES, Backoff


def test_bounds_double_up_to_the_longest() -> None:
    pauses = Backoff(first=0.5, longest=5.0, fraction=lambda: 1.0).pauses()
    assert list(islice(pauses, 6)) == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_pause_is_any_part_of_its_bound(fractions: list[float]) -> None:
    """So that processes which lost a server together do not come back together."""
    left = iter(fractions)
    pauses = Backoff(first=0.5, longest=5.0, fraction=lambda: next(left)).pauses()
    bounds = Backoff(first=0.5, longest=5.0, fraction=lambda: 1.0).pauses()
    for part, pause, bound in zip(fractions, islice(pauses, len(fractions)), bounds, strict=False):
        assert pause == part * bound


def test_the_client_repeats_after_the_same_answers() -> None:
    """It imports nothing of the server's, and so has the rule a second time."""
    assert RETRIED == RETRIED_STATUSES


def test_a_refusal_of_the_request_itself_is_not_retried() -> None:
    assert not RETRIED_STATUSES & {400, 401, 403, 404, 409, 413, 500}
