"""What `rebuild` makes of dead letters: the row errors that workers would keep, and no others."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from control.jobtable import JobTable
from processor.erasure.expiry import Expiry
from processor.operations.row_errors import error_item
from processor.rebuild import Reports
from schemas.job import Job, LaneTotals, State
from schemas.messages.codec import encode
from schemas.messages.dead_letters import FIRST_WRITTEN
from schemas.messages.progress import RowError
from schemas.policies.retention import retention_book
from schemas.topics import DAY_MS

NOW = 1_790_000_000_000


def job(job_id: str, ended_days_ago: float | None, **more: Any) -> Job:
    ended = None if ended_days_ago is None else NOW - round(ended_days_ago * DAY_MS)
    values: dict[str, Any] = {
        "id": job_id, "operation": "upload", "dataset": "people", "organisation": "a", "created_by": "a",
        "state": State.PAUSED if ended is None else State.COMPLETED, "created_at": 1, "command_offset": 1,
        "partitions": 2, "ended_at": ended, "applied": LaneTotals(rows_failed=1), **more,
    }  # fmt: skip
    return Job(**values)


def error(job_id: str, days_ago: float = 0, **more: Any) -> RowError:
    at = NOW - round(days_ago * DAY_MS)
    return RowError(job_id=job_id, row=7, reason="phone is not a phone number", value="+49 30 1234x", at=at, **more)


class Letter:
    """A record of the topic of dead letters."""

    def __init__(self, value: RowError, *headers: str) -> None:
        self._value, self._headers = encode(value), [(name, b"1") for name in headers]

    def topic(self) -> str:
        return "s-dead-letters"

    def value(self) -> bytes:
        return self._value

    def partition(self) -> int:
        return 0

    offset = partition

    def headers(self) -> list[tuple[str, bytes]]:
        return self._headers


def reports(*jobs: Job, **retention: Any) -> Reports:
    table = JobTable()
    for each in jobs:
        table.put(each)
    return Reports("s", table, Expiry(retention_book(retention), lambda: NOW))


@pytest.mark.parametrize(
    ("known", "stays"),
    [
        (job("j", 4), True),
        (job("j", 6), False),
        (job("j", None), True),
        (job("j", 4, expired={"row_errors": NOW}), False),
        (job("j", 4, expired={"uploaded_files": NOW}), True),
        (job("j", 4, purged_at=NOW), False),
        (job("j", 4, purging=True), False),
        (job("j", 6, dataset="teams"), True),
        (job("j", 100, dataset="teams"), True),
    ],
)
def test_row_errors_that_are_removed_do_not_come_back(known: Job, stays: bool) -> None:
    found = error("j", 100)
    made = reports(known, row_errors=5, datasets={"teams": {"row_errors": "forever"}}).item(Letter(found))
    assert made == (("errors", error_item("s", found)) if stays else ("expired", None))


@pytest.mark.parametrize(("longest", "days_ago"), list(product([5, "forever"], [4, 9, 11])))
def test_those_of_jobs_that_are_gone_come_back_as_long_as_any_dataset_keeps_them(longest: Any, days_ago: int) -> None:
    found = error("gone", days_ago)
    kept = reports(row_errors=3, datasets={"teams": {"row_errors": longest}}).item(Letter(found))[1]
    assert (kept is not None) is (longest == "forever" or days_ago < longest)


def test_a_row_that_is_corrected_stays_so_though_its_error_comes_behind() -> None:
    found = reports(job("j", 1))
    late, corrected = error("j"), error("j", corrected=True)
    told: list[Any] = [Letter(corrected), Letter(late, FIRST_WRITTEN), Letter(late), Letter(late, "topic")]
    assert [found.item(each) for each in told] == [
        ("errors", error_item("s", corrected)), ("errors", None), ("errors", error_item("s", late)), ("refused", None),
    ]  # fmt: skip
