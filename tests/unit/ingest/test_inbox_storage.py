"""The storage gives no key for a job: its rows wait, none is refused or lost, and other jobs go on."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from ingest.blocks.sealer import BlockSealer
from ingest.inbox.batch import Batch
from ingest.inbox.intake import InboxContext
from ingest.inbox.partition import MOST_BYTES, InboxPartition
from ingest.inbox.passed_over import TRY_SECONDS, PassedOver
from ingest.inbox.reports import report_on
from ingest.inbox.row_buffer import RowBuffer
from ingest.inbox.second_reading import SecondReading
from ingest.inbox.waiting_rows import Record
from runtime.files.sealing import JobKeys
from runtime.files.shared_folder import mark
from schemas.job import Input, Job, State
from schemas.messages.commands import InputAdvanced, InputEnded
from schemas.messages.formats import FORMAT
from schemas.messages.inbox import InboxRecord
from tests.support.in_memory.inbox import around, batch_of, job, numbers, record
from tests.support.stubs.kafka import mock_kafka
from tests.support.waiting import PATIENCE, wait_until


class Storage:
    """A storage folder that is in trouble until it is mended: a file lies in the place of the folder of keys."""

    def __init__(self, root: Path) -> None:
        mark(root)
        self.keys = JobKeys(root)
        self._folder = root / "keys"
        self._folder.write_text("")

    def mend(self) -> None:
        self._folder.unlink()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def world(storage: Storage, jobs: dict[str, Job]) -> InboxContext:
    sealer = BlockSealer(storage.keys, jobs.get)
    known = dataclasses.replace(around(), job=jobs.get)
    return dataclasses.replace(known, encoded=sealer.encoded, storage_problem=sealer.storage_problem)


def read_again(taker: InboxPartition, *records: Record, now: float = TRY_SECONDS) -> Batch:
    """What becomes of the second reading of these records."""
    taker.work(now)
    offsets = taker.passed_over.begin()
    assert offsets is not None, "the storage has answered"
    for item in records:
        if offsets[0] <= item.offset < offsets[1]:
            taker.come_again(item, now)
    taker.passed_over.ended()
    return taker.gather() or Batch(-1)


def reported(taker: InboxPartition, known: Job) -> object:
    return report_on(known, taker.buffers[known.id], storage_problem=taker.passed_over.problem(known.id))


def test_rows_wait_for_the_storage_and_hold_up_no_other(storage: Storage) -> None:
    jobs = {"j1": job(sealed=True), "other": job("other")}
    taker = InboxPartition(0, 0, (), world(storage, jobs))
    records = [record(0, 1, "other"), record(1, 1), record(2, 2), record(3, 2, "other")]
    first = batch_of(taker, *records)
    assert [block.job_id for _, block in first.blocks] == ["other"] and numbers(first.blocks) == [[1, 2]]
    assert first.position == 1, "the next owner reads the row that waits"
    more = [record(4, 3), record(5, 3, "other")]
    second = batch_of(taker, *more)
    assert numbers(second.blocks) == [[3]] and (second.position, taker.backlog) == (1, 0)
    report = reported(taker, jobs["j1"])
    assert isinstance(report, InputAdvanced) and report.input.blocks == 0
    assert "the key of job j1 can't be made or read: Not a directory" in (report.input.storage_problem or "")
    jobs["j1"] = replace(jobs["j1"], input=report.input)
    assert reported(taker, jobs["j1"]) is None, "the job says it"

    storage.mend()
    again = read_again(taker, *records, *more)
    assert [block.job_id for _, block in again.blocks] == ["j1"] and numbers(again.blocks) == [[1, 2, 3]]
    assert again.position == 6 and not first.dead_letters + second.dead_letters + again.dead_letters
    assert reported(taker, jobs["j1"]) == InputAdvanced(job_id="j1", input=Input(blocks=1, rows=3, first_missing=4))
    assert numbers(batch_of(taker, record(6, 4)).blocks) == [[4]]


def test_a_storage_that_hangs_holds_up_the_rows_whose_keys_it_has_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread makes blocks of the rows of all organisations: it must not wait for a network file system."""
    mark(tmp_path)
    keys, answers, look = JobKeys(tmp_path, patience=0), threading.Event(), JobKeys._look

    def hang(own: JobKeys, job_id: str, make: bool) -> bytes:
        assert answers.wait(PATIENCE)
        return look(own, job_id, make)

    jobs = {name: job(name, sealed=name != "open") for name in ("j1", "held", "open")}
    sealer = BlockSealer(keys, jobs.get)
    known = dataclasses.replace(around(), job=jobs.get, encoded=sealer.encoded, storage_problem=sealer.storage_problem)
    wait_until(lambda: sealer.storage_problem(jobs["held"], 0) is None, "its key is in memory")
    monkeypatch.setattr(JobKeys, "_look", hang)
    taker = InboxPartition(0, 0, (), known)
    records = [record(0, 1, "j1"), record(1, 1, "held"), record(2, 1, "open")]
    first = batch_of(taker, *records)
    assert [block.job_id for _, block in first.blocks] == ["held", "open"] and first.position == 0
    report = reported(taker, jobs["j1"])
    assert isinstance(report, InputAdvanced) and "does not answer" in (report.input.storage_problem or "")
    answers.set()
    wait_until(lambda: sealer.storage_problem(jobs["j1"], 0) is None, "its key is in memory")
    again = read_again(taker, *records)
    assert [block.job_id for _, block in again.blocks] == ["j1"] and again.position == 3


def test_a_job_is_not_whole_while_its_rows_wait(storage: Storage) -> None:
    jobs = {"j1": job(sealed=True, announced_rows=2)}
    taker = InboxPartition(0, 0, (), world(storage, jobs))
    records = [record(0, 1), record(1, 2)]
    batch_of(taker, *records)
    assert isinstance(reported(taker, jobs["j1"]), InputAdvanced)
    storage.mend()
    read_again(taker, *records)
    assert isinstance(reported(taker, jobs["j1"]), InputEnded)


def test_what_is_reported_of_the_storage_goes_with_the_problem() -> None:
    healthy = job(input=Input(blocks=2, rows=6, storage_problem="no space is left"))
    fill = RowBuffer(InboxRecord(job_id="j1", blocks=2, rows=((1, 6),)))
    report = report_on(healthy, fill)
    assert isinstance(report, InputAdvanced) and report.input.storage_problem is None


def test_however_many_rows_wait_they_take_no_memory(storage: Storage) -> None:
    taker = InboxPartition(0, 0, (), world(storage, {"j1": job(sealed=True)}))
    for offset in range(0, 3000, 300):
        batch_of(taker, *(record(offset + index, offset + index + 1) for index in range(300)))
    assert not taker.buffers["j1"].is_waiting and taker.buffers["j1"].last == 0
    assert (taker.backlog, len(taker._aside), len(taker._taken_from), taker.passed_over.first) == (0, 0, 0, 0)


def test_a_storage_that_fails_again_loses_no_row(storage: Storage) -> None:
    problems: list[str | None] = []
    known = dataclasses.replace(around(job()), storage_problem=lambda *_: problems.pop(0))
    taker = InboxPartition(0, 0, (), known)
    records = [record(0, 1), record(1, 2), record(2, 3)]
    problems += ["full"]
    assert batch_of(taker, *records[:2]).position == -1
    problems += [None, "full again"]  # it answers, and not when the rows are there
    assert not read_again(taker, *records[:2], now=0).blocks
    assert batch_of(taker, records[2], now=0.9 * TRY_SECONDS).position == -1
    problems += [None, None]
    again = read_again(taker, *records, now=5)
    assert numbers(again.blocks) == [[1, 2, 3]] and again.position == 3


def test_a_row_that_comes_during_the_second_reading_is_taken_once(storage: Storage) -> None:
    taker = InboxPartition(0, 0, (), world(storage, {"j1": job(sealed=True)}))
    batch_of(taker, record(0, 1), record(1, 2))
    storage.mend()
    new = batch_of(taker, record(2, 3), record(3, 2), now=TRY_SECONDS)
    assert numbers(new.blocks) == [[2, 3]] and new.position == -1 + 1, "the first rows are still to be read"
    again = read_again(taker, record(0, 1), record(1, 2), record(2, 3), record(3, 2))
    assert numbers(again.blocks) == [[1]] and again.position == 4


@pytest.mark.parametrize(
    ("state", "reason"),
    [({"state": State.TERMINATED}, "takes no more rows"), (None, "there is no job j1")],
    ids=["terminated", "gone"],
)
def test_rows_that_waited_in_vain_are_refused(storage: Storage, state: dict[str, object] | None, reason: str) -> None:
    jobs = {"j1": job(sealed=True)}
    taker = InboxPartition(0, 0, (), world(storage, jobs))
    records = [record(0, 1), record(1, 2)]
    batch_of(taker, *records)
    if state is None:
        del jobs["j1"]
    else:
        jobs["j1"] = replace(jobs["j1"], **state)
    again = read_again(taker, *records)
    assert [reason in letter.reason for letter in again.dead_letters] == [True, True]
    assert again.position == 2 and not again.blocks


def test_what_was_refused_or_moved_at_once_is_not_so_a_second_time(storage: Storage) -> None:
    jobs = {"j1": job(sealed=True)}
    known = dataclasses.replace(world(storage, jobs), partitions=2)
    number = next(number for number in (0, 1) if batch_of(InboxPartition(number, 0, (), known), record(0, 1)).moved)
    taker = InboxPartition(1 - number, 0, (), known)
    elsewhere = next(
        name for name in "abcdef" if batch_of(InboxPartition(1 - number, 0, (), known), record(0, 1, name)).moved
    )
    long = record(3, 3, values={"name": "x" * MOST_BYTES})
    odd = [Record(1, b"j1", b"no json"), Record(2, b"j1", None), long, record(4, 1, elsewhere)]
    first = batch_of(taker, record(0, 1), *odd, record(5, 2))
    assert (len(first.dead_letters), len(first.moved), first.position) == (3, 1, 0)
    storage.mend()
    again = read_again(taker, record(0, 1), *odd, record(5, 2))
    assert numbers(again.blocks) == [[1, 2]] and not again.dead_letters and not again.moved and again.position == 6


def test_a_job_that_a_newer_version_has_written_waits_on(storage: Storage) -> None:
    jobs = {"j1": job(sealed=True)}
    taker = InboxPartition(0, 0, (), world(storage, jobs))
    records = [record(0, 1), record(1, 2)]
    batch_of(taker, *records)
    storage.mend()
    understood, jobs["j1"] = jobs["j1"], replace(jobs["j1"], needs=FORMAT + 1)
    taker.work(TRY_SECONDS)
    assert taker.passed_over.begin() is None and taker.passed_over.first == 0
    jobs["j1"] = understood
    taker.work(5)
    offsets = taker.passed_over.begin()
    jobs["j1"] = replace(understood, needs=FORMAT + 1)
    for item in records:
        taker.come_again(item, 5)
    taker.passed_over.ended()
    assert offsets == (0, 2) and taker.gather() is None and taker.passed_over.first == 0
    jobs["j1"] = understood
    assert numbers(read_again(taker, *records, now=10).blocks) == [[1, 2]]


def test_a_storage_in_trouble_is_asked_once_in_a_while_and_for_each_job_in_its_turn() -> None:
    passed, asked, bad = PassedOver(), list[str](), {"a", "b", "c"}

    def problem_of(job_id: str) -> str | None:
        asked.append(job_id)
        return "full" if job_id in bad else None

    for offset, job_id in enumerate("abc"):
        passed.pass_over(job_id, "full", offset)
    for now in (0, 0.5 * TRY_SECONDS, TRY_SECONDS, 2 * TRY_SECONDS, 3 * TRY_SECONDS):
        assert passed.try_again(problem_of, 9, now) == []
    assert asked == ["a", "b", "c", "a"]
    bad.remove("c")
    assert passed.try_again(problem_of, 9, 4 * TRY_SECONDS) == []
    assert passed.try_again(problem_of, 9, 5 * TRY_SECONDS) == ["c"], "one bad key keeps no other job"
    assert passed.begin() == (2, 9) and passed.first == 0
    assert "c" not in passed and passed.reads_again("c") and not passed.reads_again("a")


def test_a_job_that_is_due_meanwhile_has_a_second_reading_of_its_own() -> None:
    passed = PassedOver()
    passed.pass_over("a", "full", 3)
    passed.try_again(lambda _: None, 5, 0)
    assert passed.begin() == (3, 5)
    passed.pass_over("b", "full", 2)
    passed.try_again(lambda _: None, 7, TRY_SECONDS)
    passed.ended()
    assert passed.first == 2 and passed.begin() == (2, 7)
    passed.pass_over("b", "full again", 9)
    assert passed.first == 2, "none of it has been read to the end"
    passed.try_again(lambda _: None, 12, 5)
    passed.begin()
    passed.ended()
    assert passed.first is None and len(passed) == 0


def test_records_are_read_a_second_time_beside_those_that_come(storage: Storage) -> None:
    jobs = {"j1": job(sealed=True), "other": job("other")}
    taker = InboxPartition(0, 0, (), world(storage, jobs))
    records = [record(offset, 1 + offset // 2, ("j1", "other")[offset % 2]) for offset in range(40)]
    rows: dict[str, list[int]] = {"j1": [], "other": []}

    def take(batch: Batch) -> Batch:
        for _, block in batch.blocks:
            rows[block.job_id] += range(block.first_row, block.last_row + 1)
        return batch

    with mock_kafka() as kafka:
        kafka.write("inbox", (item.value or b"" for item in records))
        reading = SecondReading(kafka.settings)
        take(batch_of(taker, *records[:30]))
        reading.go_on({0: taker}, 0)
        assert rows == {"j1": [], "other": list(range(1, 16))}
        storage.mend()
        take(batch_of(taker, *records[30:], now=TRY_SECONDS))

        def position() -> int:
            reading.go_on({0: taker}, TRY_SECONDS)
            return take(batch_of(taker, now=TRY_SECONDS)).position

        wait_until(lambda: position() == 40, "no record waits any more")
        reading.go_on({0: taker}, TRY_SECONDS)
        assert reading._reading is None, "it is connected for a second reading alone"
    assert {job_id: sorted(found) for job_id, found in rows.items()} == {job_id: list(range(1, 21)) for job_id in rows}


def test_the_second_reading_ends_with_the_partition(storage: Storage) -> None:
    taker = InboxPartition(0, 0, (), world(storage, {"j1": job(sealed=True)}))
    records = [record(offset, 1 + offset) for offset in range(3)]
    with mock_kafka() as kafka:
        kafka.write("inbox", (item.value or b"" for item in records))
        reading = SecondReading(kafka.settings)
        batch_of(taker, *records)
        storage.mend()
        taker.work(TRY_SECONDS)
        reading.go_on({0: taker}, TRY_SECONDS)
        successor = InboxPartition(0, 0, (), around(job()))
        reading.go_on({0: successor}, TRY_SECONDS)
        assert reading._reading is None
    assert taker.gather() is None
