"""What is told of stores whose backups differ in age: every count, from states and lanes."""

from __future__ import annotations

from typing import Any

import pytest

from processor.backups.counts import Difference, rows_apart, without_copies
from processor.backups.sentences import NAMED, sentences
from schemas.job import Job, LaneTotals, Options, State
from schemas.messages.lanes import LaneRecord


def job(state: State, **more: Any) -> Job:
    own: dict[str, Any] = {"id": "j", "operation": "upload", "dataset": "people", "organisation": "acme"}
    return Job(
        **{**own, "created_by": "a", "created_at": 1, "command_offset": 1, "partitions": 2, "state": state, **more}
    )


def lane(rows: int, **more: Any) -> LaneRecord:
    return LaneRecord(job_id="j", partition=0, partitions=2, totals=LaneTotals(rows_applied=rows), **more)


TEN = LaneTotals(rows_applied=10)
FIVE = LaneTotals(rows_applied=9, rows_created=2, rows_updated=3)


@pytest.mark.parametrize(
    ("state", "lanes", "found", "kind"),
    [
        (job(State.COMPLETED, applied=TEN), [], 10, None),
        (job(State.COMPLETED, applied=TEN), [], 9, "fewer"),
        (job(State.COMPLETED, applied=TEN), [], 0, "fewer"),
        (job(State.COMPLETED, applied=TEN), [], 11, "more"),
        (job(State.PAUSED), [lane(4), lane(3)], 7, None),
        (job(State.PAUSED), [lane(4), lane(3)], 6, "fewer"),
        (job(State.PAUSED), [lane(4)], 9, "ahead"),
        (job(State.FAILED), [lane(4)], 9, "ahead"),
        (job(State.RUNNING), [lane(4)], 9, None),
        (job(State.RUNNING, run=1, applied=TEN), [lane(2, run=1), lane(9)], 12, None),
        (job(State.RUNNING, run=1, applied=TEN), [lane(2, run=1)], 11, "fewer"),
        (job(State.ROLLED_BACK, applied=TEN, phase="undo"), [], 0, None),
        (job(State.ROLLED_BACK, applied=TEN, phase="undo"), [], 10, "more"),
        (job(State.ROLLED_BACK, phase="undo", undone=LaneTotals(rows_kept=2)), [], 2, None),
        (job(State.ROLLING_BACK, applied=TEN, phase="undo"), [], 5, None),
        (job(State.COMPLETED, applied=TEN, options=Options(dry_run=True)), [], 0, None),
        (job(State.COMPLETED, applied=TEN, purged_at=5), [], 0, None),
        (job(State.COMPLETED, applied=TEN, operation="export"), [], 0, None),
        (job(State.COMPLETED, mode="upsert", applied=FIVE), [], 5, None),
        (job(State.COMPLETED, mode="upsert", applied=FIVE), [], 4, "fewer"),
    ],
)  # fmt: skip
def test_documents_are_compared_with_what_kafka_counts(
    state: Job, lanes: list[LaneRecord], found: int, kind: str | None
) -> None:
    told = list(rows_apart({"j": state}, {"j": lanes}, {"j": found}))
    assert [one.kind for one in told] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        (["j:1", "j:2", "x8Kd", "copy-of-j:1"], None),
        (["x8Kd", "copy:3", "jj:4", "k:5"], None),
        (["j:1", "j:2", "j:3", "x8Kd"], 3),
        (["acme:00ff", "j:00ff", "acme:01", "x"], 3),
    ],
)
def test_copies_that_other_programs_have_made_are_not_counted(ids: list[str], found: int | None) -> None:
    state = job(State.ROLLED_BACK, phase="undo", undone=LaneTotals(rows_kept=2))
    (difference,) = rows_apart({"j": state}, {}, {"j": len(ids)})
    rest = without_copies(difference, ids)
    assert (rest.found if rest else None) == found


def test_of_jobs_that_write_over_documents_the_newest_alone_is_counted() -> None:
    wrote = LaneTotals(rows_applied=5, rows_created=5)
    first = job(State.COMPLETED, mode="upsert", applied=wrote)
    second = job(State.COMPLETED, id="k", mode="upsert", applied=wrote, created_at=2)
    assert list(rows_apart({"j": first, "k": second}, {}, {"k": 5})) == []


def test_each_difference_is_named_with_what_to_do() -> None:
    assert list(sentences(1, [])) == ["Kafka, Elasticsearch and the storage agree about 1 job."]
    lacking = [Difference("fewer", f"j{number}", job(State.PAUSED), 1, 2000) for number in range(NAMED + 2)]
    told = list(sentences(20, [*lacking, Difference("unknown", "x", found=3)]))
    assert "sluice rollback ID" in told[0] and told[1] == "  j0 (upload of acme, PAUSED): 1 of 2,000 rows"
    assert told[NAMED + 1] == "  and 2 more" and told[-1] == "  x: 3 rows"
