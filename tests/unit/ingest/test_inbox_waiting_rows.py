"""A row whose job is not known waits alone, and what goes wrong with one record or one job stays with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from csvfile.cutter import Limits
from ingest.inbox import partition, waiting_rows
from ingest.inbox.given_up import GivenUpJobs
from ingest.inbox.inbox import Inbox
from ingest.inbox.intake import InboxContext
from ingest.inbox.partition import GivenUpError, InboxPartition
from ingest.inbox.records import Arrival, read_record
from ingest.inbox.reports import report_on
from ingest.inbox.row_buffer import RowBuffer
from ingest.inbox.waiting_rows import Record
from ingest.metrics import ReaderMetrics
from runtime.settings import Settings
from schemas.job import Input, Job, State
from schemas.messages.blocks import RowBlock
from schemas.messages.commands import InputFailed
from schemas.messages.dead_letters import RejectedRecord
from schemas.messages.inbox import InboxRecord
from tests.support.in_memory.inbox import (
    DATASETS,
    LIMITS,
    PATIENCE,
    around,
    batch_of,
    inbox_partition,
    job,
    numbers,
    record,
)


def world(jobs: dict[str, Job]) -> InboxContext:
    """Surroundings in which jobs may be made later."""
    return InboxContext(jobs.get, DATASETS, LIMITS, PATIENCE, 1)


def test_a_row_waits_a_while_for_its_job_and_nothing_waits_for_it() -> None:
    jobs = {"other": job("other")}
    taker = InboxPartition(0, 0, (), world(jobs))
    batch = batch_of(taker, record(0, 1, "other"), record(1, 2), record(2, 2, "other"), record(3, 1), now=0)
    assert numbers(batch.blocks) == [[1, 2]] and taker.backlog == 0
    assert batch.position == 1, "it is read again if this reader dies"
    assert batch_of(taker, now=PATIENCE - 1).position == -1, "nothing has happened"
    jobs["j1"] = job()
    batch = batch_of(taker, record(4, 1, values={"name": "late"}), now=PATIENCE - 0.5)
    assert numbers(batch.blocks) == [[1, 2]] and batch.position == 5
    assert batch.blocks[0][1].rows[0][0] == "name 1", "rows are taken in the order in which they came"


def test_waits_do_not_add_up() -> None:
    taker = inbox_partition(job("victim"))
    for second in range(6):
        records = record(2 * second, 1, f"u{second}"), record(2 * second + 1, second + 1, "victim")
        assert numbers(batch_of(taker, *records, now=second).blocks) == [[second + 1]]
    refused = [batch_of(taker, now=PATIENCE + second).dead_letters for second in range(6)]
    assert [[letter.reason.split(":")[0] for letter in letters] for letters in refused] == [
        [f"there is no job u{second}"] for second in range(6)
    ]
    assert batch_of(taker, record(12, 7, "victim"), now=30).position == 13


def test_a_flood_of_rows_without_a_job_has_bounds_and_its_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_rows, "MOST_RECORDS", 4)
    jobs: dict[str, Job] = {}
    taker = InboxPartition(0, 0, (), world(jobs))
    batch = batch_of(taker, *[record(offset, offset + 1) for offset in range(6)], now=0)
    assert batch.position == -1 and taker.backlog == 2, "they may be those of a job that is just being made"
    assert batch_of(taker, now=waiting_rows.GRACE_SECONDS - 0.1).position == -1
    batch = batch_of(taker, now=waiting_rows.GRACE_SECONDS)
    assert [letter.record.offset for letter in batch.dead_letters] == [0, 1] and taker.backlog == 0
    assert all("too many rows wait" in letter.reason for letter in batch.dead_letters) and batch.position == 2
    jobs["j1"] = job()
    assert numbers(batch_of(taker, now=waiting_rows.GRACE_SECONDS).blocks) == [[3, 4, 5], [6]]


def test_large_rows_without_a_job_have_bounds_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_rows, "MOST_BYTES", 10_000)
    taker = inbox_partition()
    batch_of(taker, *[record(offset, 1, f"u{offset}", values={}) for offset in range(20)], now=0)
    for offset in range(20, 40):
        batch_of(taker, record(offset, 1, f"u{offset}", values={"name": "x" * 3000}), now=offset)
        assert taker._aside._bytes <= 10_000 + 4000


def test_what_a_record_takes_besides_its_value_counts_as_well() -> None:
    plain = Record(0, None, b"{}")
    assert Record(0, b"k" * 500, b"{}", [("sluice-signature", b"s" * 500)]).size >= plain.size + 1000


def test_a_job_of_an_unknown_dataset_fails_and_takes_nobody_with_it() -> None:
    jobs = {"j1": job(dataset="gone"), "other": job("other")}
    surroundings = world(jobs)
    taker = InboxPartition(0, 0, (), surroundings)
    batch = batch_of(taker, record(0, 1), record(1, 1, "other"), now=0)
    assert numbers(batch.blocks) == [[1]] and not batch.dead_letters and batch.position == 0
    assert report_on(jobs["j1"], RowBuffer(InboxRecord(job_id="j1")), surroundings.given_up.get("j1")) is None
    newer = dataclasses.replace(surroundings, datasets={**DATASETS, "gone": DATASETS["people"]}, given_up=GivenUpJobs())
    knows = batch_of(InboxPartition(0, 0, (), newer), record(0, 1), record(1, 1, "other"))
    assert len(knows.blocks) == 2, "a reader that knows it takes them"
    late = batch_of(taker, now=PATIENCE)
    assert ["dataset 'gone' of job j1 is not known" in letter.reason for letter in late.dead_letters] == [True]
    report = report_on(jobs["j1"], RowBuffer(InboxRecord(job_id="j1")), surroundings.given_up.get("j1"))
    assert isinstance(report, InputFailed) and "give the readers the dataset" in report.reason
    assert len(batch_of(taker, record(2, 2), now=PATIENCE).dead_letters) == 1, "what comes now need not wait"


def test_what_nobody_has_thought_of_refuses_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(value: bytes | None, most: int) -> Arrival:
        if value and b'"row": 2' in value:
            raise ZeroDivisionError("a bug")
        return read_record(value, most)

    def read_together(values: Sequence[bytes]) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(partition, "read_record", read)
    monkeypatch.setattr(partition, "read_plain", read_together)
    batch = batch_of(inbox_partition(job()), *[record(offset, offset + 1) for offset in range(3)])
    assert numbers(batch.blocks) == [[1], [3]] and batch.position == 3
    assert ["a bug" in letter.reason for letter in batch.dead_letters] == [True]


def test_what_nobody_has_thought_of_fails_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = RowBuffer.cut

    def broken(self: RowBuffer, *given: Any) -> list[RowBlock]:
        if self.job_id == "j1":
            raise ZeroDivisionError("a bug")
        return cut(self, *given)

    monkeypatch.setattr(RowBuffer, "cut", broken)
    surroundings = around(job(), job("other"))
    records = [record(0, 1), record(1, 1, "other")]
    with pytest.raises(GivenUpError):
        batch_of(InboxPartition(0, 0, (), surroundings), *records)
    batch = batch_of(InboxPartition(0, 0, (), surroundings), *records)
    assert [block.job_id for _, block in batch.blocks] == ["other"]
    assert ["a bug" in letter.reason for letter in batch.dead_letters] == [True]
    report = report_on(job(), RowBuffer(InboxRecord(job_id="j1")), surroundings.given_up.get("j1"))
    assert isinstance(report, InputFailed) and "a bug" in report.reason


def test_a_resume_has_the_rows_of_a_job_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> list[RowBlock]:
        raise ZeroDivisionError("a bug")

    running = job(epoch=3)
    jobs = {"j1": running}
    surroundings = world(jobs)
    with monkeypatch.context() as patched, pytest.raises(GivenUpError):
        patched.setattr(RowBuffer, "cut", broken)
        batch_of(InboxPartition(0, 0, (), surroundings), record(0, 1))
    taker = InboxPartition(0, 0, (), surroundings)
    assert len(batch_of(taker, record(0, 1)).dead_letters) == 1

    jobs["j1"] = replace(running, state=State.FAILED, epoch=4)
    surroundings.given_up.changed("j1", jobs["j1"])
    assert len(batch_of(taker, record(1, 2)).dead_letters) == 1, "the failure itself is no resume"
    jobs["j1"] = replace(running, epoch=5)
    surroundings.given_up.changed("j1", jobs["j1"])
    assert report_on(jobs["j1"], RowBuffer(InboxRecord(job_id="j1")), surroundings.given_up.get("j1")) is None
    again = batch_of(taker, record(2, 1), record(3, 2))
    assert numbers(again.blocks) == [[1, 2]] and not again.dead_letters


def test_a_resume_does_not_bring_back_which_rows_have_come() -> None:
    surroundings = around(job(epoch=3))
    lost = RejectedRecord("sluice.inbox-state", 0, 7, b"j1", b"no json", "not JSON")
    taker = InboxPartition(0, 0, (), surroundings, [lost])
    surroundings.given_up.changed("j1", job(epoch=9))
    batch = batch_of(taker, record(0, 1))
    assert not batch.blocks and "not known any more" in batch.dead_letters[0].reason


def test_a_job_of_the_same_id_is_not_given_up() -> None:
    given_up = GivenUpJobs()
    given_up.give_up("j1", "a bug", epoch=None)
    given_up.changed("j2", None)
    assert given_up.get("j1") == "a bug"
    given_up.changed("j1", None)
    assert given_up.get("j1") is None


def test_the_reader_forgets_with_the_resume_that_it_has_given_a_job_up(tmp_path: Path) -> None:
    inbox = Inbox(Settings(home=tmp_path), lambda: False, ReaderMetrics())
    given = job(epoch=3)
    inbox._given_up.give_up("j1", "a bug", given.epoch)
    states = (given, replace(given, state=State.FAILED, epoch=4), replace(given, epoch=5))
    found = []
    for offset, state in enumerate(states, start=2):
        inbox._view.put(replace(state, command_offset=offset))
        found.append(inbox._given_up.get("j1"))
    assert found == ["a bug", "a bug", None]


def test_a_block_that_kafka_would_not_take_fails_its_job_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "MOST_BLOCK_BYTES", 400)
    surroundings = around(job(), job("other"))
    records = [record(0, 1, values={"name": "x" * 500}), record(1, 1, "other")]
    with pytest.raises(GivenUpError):
        batch_of(InboxPartition(0, 0, (), surroundings), *records)
    batch = batch_of(InboxPartition(0, 0, (), surroundings), *records)
    assert [block.job_id for _, block in batch.blocks] == ["other"] and "Kafka takes" in batch.dead_letters[0].reason


def test_blocks_stay_small_though_rows_are_short() -> None:
    """Of columns that a row leaves out, and of reasons, a block has more bytes than the record had."""
    limits = Limits(rows=10_000, bytes=4096)
    for values in ({}, {"nmae": "x"}):
        rows = [record(index, 1 + 100 * index, values=[values] * 100) for index in range(10)]
        batch = batch_of(inbox_partition(job(), limits=limits), *rows)
        assert max(map(len, batch.values)) < 2 * limits.bytes
        assert sum(len(block.rows) for _, block in batch.blocks) == 1000


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"input": Input(rows=2, ended=True), "state": State.COMPLETED}, None),
        ({"state": State.FAILED}, None),
        ({"state": State.ROLLED_BACK, "phase": "undo"}, "takes no more rows"),
        (None, None),
    ],
)
def test_rows_taken_behind_a_waiting_one_are_no_rows_again_for_the_next_owner(
    changes: dict[str, object] | None, reason: str | None
) -> None:
    """The reader dies while a row waits for its job: what lies behind that row comes again, its job may be over."""
    jobs = {"j1": job()}
    records = [record(0, 1, "unknown"), record(1, 1), record(2, 2)]
    first = batch_of(InboxPartition(0, 0, (), world(jobs)), *records)
    assert numbers(first.blocks) == [[1, 2]] and first.position == 0
    states = tuple(state for _, state in first.states if state)
    if changes is None:
        jobs.clear()  # the table has forgotten it
    else:
        jobs["j1"] = job(**changes)
    again = batch_of(InboxPartition(0, 0, states, world(jobs)), *records, now=100)
    assert not again.blocks
    assert [letter.record.offset for letter in again.dead_letters] == ([1, 2] if reason else [])
    assert all(reason in letter.reason for letter in again.dead_letters if reason)
