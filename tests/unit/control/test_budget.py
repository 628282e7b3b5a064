"""Budgets of row errors: numbers and percentages, and from when on they are judged."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from control.budget import overspent, probe_rows, watched
from schemas.job import Job, LaneTotals, Options, State
from tests.support.in_memory.control import world_in


def job(max_errors: int | str | None) -> Job:
    return replace(world_in(State.RUNNING).job(), options=Options(max_errors=max_errors))


@pytest.mark.parametrize(
    ("limit", "applied", "failed", "too_many"),
    [
        (None, 0, 10_000, False),
        (0, 10, 0, False),
        (0, 0, 1, True),
        (10, 0, 10, False),
        (10, 0, 11, True),
        ("5%", 0, 999, False),
        ("5%", 950, 50, False),
        ("5%", 949, 51, True),
        ("0.1%", 9990, 10, False),
        ("0.1%", 9989, 11, True),
        ("0%", 1000, 1, True),
        ("100%", 0, 5000, False),
    ],
)
def test_a_limit_is_passed_when_it_is_exceeded(
    limit: int | str | None, applied: int, failed: int, too_many: bool
) -> None:
    reason = overspent(job(limit), LaneTotals(rows_applied=applied, rows_failed=failed))
    assert (reason is not None) is too_many


def test_the_reason_says_how_many_of_how_many_and_what_can_be_done() -> None:
    reason = overspent(job("5%"), LaneTotals(rows_failed=1000))
    assert reason is not None
    for words in ("1,000 of the first 1,000 rows", "max_errors=5%", "sluice errors j1", "resume"):
        assert words in reason


def test_only_a_job_with_a_limit_is_probed() -> None:
    probing = replace(job("5%"), budget="probing")
    assert (watched(probing), probe_rows(probing)) == (True, 1000)
    assert (watched(job("5%")), probe_rows(job("5%"))) == (True, None)
    assert (watched(job(None)), probe_rows(job(None))) == (False, None)
    for over in (replace(probing, budget="spent"), replace(probing, budget="waived"), replace(probing, phase="undo")):
        assert (watched(over), probe_rows(over)) == (False, None)
