"""What housekeeping removes and what it leaves, and the report of a purge; files are real ones."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from msgspec.structs import replace

from control.jobtable import JobTable
from processor.elastic.bulk import BulkSink
from processor.erasure import topics
from processor.erasure.base import Store
from processor.erasure.documents import Documents
from processor.erasure.files import Blocks, CorrectedFiles, Parts, Results, UploadedFiles
from processor.erasure.housekeeping import JOBS_AT_ONCE, Housekeeping
from processor.erasure.purging import Purging
from processor.erasure.stores import stores
from processor.erasure.topics import belongs
from processor.errors import CannotGoOnError, FencedError
from runtime.clock import Clock
from runtime.files.sealing import JobKeys
from runtime.files.shared_folder import MARKER, mark
from runtime.files.storage import Storage, StorageError, open_storage
from runtime.settings import Settings
from schemas.job import Job, Source, State
from schemas.messages.commands import StoresEmptied
from schemas.policies.retention import RetentionBook, StoreName, retention_book
from tests.support.in_memory.housekeeping import keep_house
from tests.support.waiting import PATIENCE

DAY = 86_400
NOW = 1_790_000_000


def job(job_id: str, ended_days_ago: float | None = 10, **more: Any) -> Job:
    ended = None if ended_days_ago is None else int((NOW - ended_days_ago * DAY) * 1000)
    values: dict[str, Any] = {
        "id": job_id, "operation": "upload", "dataset": "people", "organisation": "a", "created_by": "a",
        "state": State.RUNNING if ended is None else State.COMPLETED, "created_at": 1, "command_offset": 1,
        "partitions": 2, "ended_at": ended, "source": Source(path=f"sources/{job_id}/a.csv", bytes=1), **more,
    }  # fmt: skip
    return Job(**values)


class House:
    """Housekeeping over real files."""

    def __init__(self, folder: Path, *jobs: Job, **retention: Any) -> None:
        self.root = folder
        mark(folder)
        self.jobs = JobTable()
        for each in jobs:
            self.jobs.put(each)
        self.storage: Storage = open_storage(Settings(storage=folder))
        self.keys = JobKeys(folder)
        self.reports: list[StoresEmptied] = []
        self.open = True
        self.book: RetentionBook = retention_book(retention)
        self.stores: tuple[Store, ...] = (
            UploadedFiles(folder), CorrectedFiles(folder), Parts(self.storage), Results(self.storage),
            Blocks(self.keys),
        )  # fmt: skip

    def put(self, path: str, days_old: float = 0) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
        os.utime(file, (NOW - days_old * DAY, NOW - days_old * DAY))
        return file

    def gate(self) -> None:
        if not self.open:
            raise FencedError

    def run(self) -> None:
        asyncio.run(keep_house(self.keeping(), self.gate))

    def keeping(self) -> Housekeeping:
        async def report(found: StoresEmptied) -> None:
            self.reports.append(found)
            known = self.jobs.get(found.job_id)
            assert known is not None
            expired = {**known.expired, **dict.fromkeys(found.stores, NOW * 1000)}
            self.jobs.put(replace(known, expired=expired, command_offset=known.command_offset + 1))

        return Housekeeping(
            self.jobs, self.stores, self.book, self.storage, self.root, self.keys,
            Clock(now_ms=lambda: NOW * 1000), report,
        )  # fmt: skip

    def left(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file() and path.name != MARKER
        )


def test_files_go_after_the_retention_of_their_dataset_and_the_job_is_told_once(tmp_path: Path) -> None:
    house = House(
        tmp_path,
        job("old", epoch=4), job("young", 1), job("kept", dataset="teams"), job("busy", None),
        job("failed", state=State.FAILED), uploaded_files=5, datasets={"teams": {"uploaded_files": "forever"}},
    )  # fmt: skip
    for name in ("old", "young", "kept", "busy", "failed"):
        house.put(f"sources/{name}/a.csv", 100)
    house.run()
    assert house.left() == [f"sources/{name}/a.csv" for name in ("busy", "failed", "kept", "young")]
    told = [(report.job_id, report.epoch, report.stores) for report in house.reports]
    assert told == [("old", 4, ["uploaded_files"])]
    house.run()
    assert len(house.reports) == 1


def test_a_file_that_another_job_needs_stays_until_that_is_over(tmp_path: Path) -> None:
    shared = Source(path="sources/dry/a.csv", bytes=1)
    house = House(tmp_path, job("dry", source=shared), job("real", None, source=shared), uploaded_files=5)
    house.put("sources/dry/a.csv", 100)
    house.run()
    assert (house.left(), house.reports) == (["sources/dry/a.csv"], [])
    house.jobs.put(replace(job("real", 9, source=shared), command_offset=9))
    house.run()
    assert (house.left(), {report.job_id for report in house.reports}) == ([], {"dry", "real"})


def test_each_kind_of_file_has_its_own_time(tmp_path: Path) -> None:
    house = House(
        tmp_path,
        job("up", retry=Source(path="sources/up/retry-1.csv")), job("ex", source=Source(kind="query")),
        uploaded_files=20, corrected_files=5, parts=5, results=20,
    )  # fmt: skip
    for path in ("sources/up/a.csv", "sources/up/retry-0.csv", "sources/up/retry-1.csv", "sources/up/.0.part"):
        house.put(path, 100)
    for path in ("parts/ex/00000000.csv", "results/ex.csv", "results/other.txt"):
        house.put(path, 0)
    house.run()
    assert house.left() == ["results/ex.csv", "results/other.txt", "sources/up/.0.part", "sources/up/a.csv"]
    assert {(report.job_id, *report.stores) for report in house.reports} == {("up", "corrected_files"), ("ex", "parts")}


def test_what_unknown_jobs_have_left_goes_after_the_longest_time_of_any_dataset(tmp_path: Path) -> None:
    shared = Source(path="sources/gone3/a.csv", bytes=1)
    house = House(
        tmp_path,
        job("real", None, source=shared),
        uploaded_files=2,
        results=2,
        datasets={"teams": {"uploaded_files": 9}},
    )
    for path, days in (
        ("sources/gone1/a.csv", 8), ("sources/gone2/a.csv", 10), ("sources/gone3/a.csv", 50), ("keys/gone1", 10),
        ("keys/gone2", 16), ("keys/real", 100),
    ):  # fmt: skip
        house.put(path, days)
    for path in ("sources/Not A Job/a.csv", "import/a.csv"):
        house.put(path, 1000)
    house.run()
    assert house.left() == [
        "import/a.csv", "keys/gone1", "keys/real", "sources/Not A Job/a.csv", "sources/gone1/a.csv",
        "sources/gone3/a.csv",
    ]  # fmt: skip


def test_a_worker_that_has_lost_the_partition_removes_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, job("old"), uploaded_files=5)
    house.put("sources/old/a.csv", 100)
    house.open = False
    with pytest.raises(FencedError):
        house.run()
    assert house.left() == ["sources/old/a.csv"]


class WatchedTable(JobTable):
    """Counts the jobs that are looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.halfway: Callable[[], object] = lambda: None
        """What happens while the table is walked through."""

    def __iter__(self) -> Iterator[Job]:
        for number, each in enumerate(super().__iter__()):
            if number == len(self) // 2:
                self.halfway()
            self.looks += 1
            yield each


@pytest.mark.parametrize("known", [True, False])
def test_a_look_walks_the_table_once_for_each_store_and_lets_others_have_their_turns(
    tmp_path: Path, known: bool
) -> None:
    """Of many jobs the files are due, or there are files of many that are not known any more."""
    house = House(tmp_path, uploaded_files=5, corrected_files=5)
    house.jobs = table = WatchedTable()
    jobs, due = 4 * JOBS_AT_ONCE, 50
    for number in range(jobs):
        corrected = Source(path=f"sources/j{number}/retry-1.csv", bytes=1)
        table.put(job(f"j{number}", 10 if known and number < due else 1, retry=corrected))
    for number in range(due):
        for name in ("a.csv", "retry-1.csv"):
            house.put(f"sources/{'j' if known else 'gone'}{number}/{name}", 100)
    most = 0

    async def watched() -> None:
        nonlocal most
        running = asyncio.create_task(keep_house(house.keeping(), house.gate))
        while not running.done():
            before = table.looks
            await asyncio.sleep(0)
            most = max(most, table.looks - before)
        await running

    asyncio.run(watched())
    assert house.left() == [] and most <= JOBS_AT_ONCE
    assert table.looks <= jobs * (len(house.stores) + 1)


def test_a_file_that_a_job_begins_to_read_during_the_look_stays(tmp_path: Path) -> None:
    house = House(tmp_path, uploaded_files=5)
    house.jobs = table = WatchedTable()
    for number in range(9):
        table.put(job(f"j{number}"))
    for number in range(3):
        house.put(f"sources/j{number}/a.csv", 100)

    def begin() -> None:
        table.put(job("real", None, source=Source(path="sources/j0/a.csv", bytes=1)))
        table.put(job("j1", None, command_offset=2, retry=Source(path="sources/j1/retry-1.csv")))

    table.halfway = begin
    house.run()
    assert house.left() == ["sources/j0/a.csv", "sources/j1/a.csv"]


class Broken(Storage):
    """A storage whose parts can't be listed."""

    def __init__(self, whole: Storage, error: Exception) -> None:
        self.__dict__.update(whole.__dict__)
        self.error = error

    async def dated(self, folder: str) -> list[tuple[str, float]]:
        if folder == "parts/":
            raise self.error
        return await super().dated(folder)


@pytest.mark.parametrize("error", [StorageError("403"), CannotGoOnError("no"), OSError("no"), ValueError("odd")])
def test_an_error_of_one_store_leaves_the_others_to_be_emptied(tmp_path: Path, error: Exception) -> None:
    house = House(tmp_path, job("old"), uploaded_files=5, results=2)
    house.put("parts/gone/1.csv", 100)
    result = house.put("results/gone.csv", 100)
    house.put("sources/old/a.csv", 100)
    house.storage = Broken(house.storage, error)
    house.stores = (Stubborn(error, "previews"), *house.stores)
    house.run()
    assert house.left() == ["parts/gone/1.csv"] and not result.exists()


@pytest.mark.parametrize("error", [CannotGoOnError("no"), OSError("no"), ValueError("odd")])
@pytest.mark.parametrize("bad", ["a", "b", "c"])
def test_an_error_of_one_job_leaves_what_is_over_of_the_others_to_be_removed(
    tmp_path: Path, bad: str, error: Exception
) -> None:
    class OfOthers(UploadedFiles):
        async def remove(self, jobs: Sequence[Job], gate: Any) -> None:
            if any(each.id == bad for each in jobs):
                raise error
            await super().remove(jobs, gate)

    house = House(tmp_path, *map(job, "abc"), uploaded_files=5)
    for name in "abc":
        house.put(f"sources/{name}/a.csv", 100)
    house.stores = (OfOthers(tmp_path),)
    house.run()
    assert house.left() == [f"sources/{bad}/a.csv"]
    assert {report.job_id for report in house.reports} == {*"abc"} - {bad}
    house.stores = (UploadedFiles(tmp_path),)
    house.run()
    assert house.left() == [] and {report.job_id for report in house.reports} == {*"abc"}


@pytest.mark.parametrize("place", range(5))
def test_a_store_that_does_not_answer_holds_up_no_other(tmp_path: Path, place: int) -> None:
    class Silent(Stubborn):
        async def remove(self, jobs: Sequence[Job], gate: Any) -> None:
            await asyncio.Event().wait()

    house = House(tmp_path, job("old"), uploaded_files=5, previews=5)
    files = ("sources/old/a.csv", "parts/gone/1.csv", "results/gone.csv", "sources/gone/a.csv")
    for path in files:
        house.put(path, 100)
    stores = list(house.stores)
    stores.insert(place, Silent(ValueError(), "previews"))
    house.stores = tuple(stores)

    async def story() -> None:
        keeping = asyncio.create_task(keep_house(house.keeping(), house.gate))
        while any((tmp_path / path).exists() for path in files):
            await asyncio.sleep(0.001)
            assert not keeping.done()
        keeping.cancel()

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


class Stubborn:
    """A store that can't be emptied."""

    def __init__(self, error: Exception, name: StoreName = "results") -> None:
        self.error = error
        self.name = name

    def has(self, job: Job) -> bool:
        return True

    async def remove(self, jobs: Sequence[Job], gate: Any) -> None:
        raise self.error


def test_a_purge_empties_what_it_can_and_tells_what_it_can_not(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.keys.obtain("j1")
    house.put("sources/j1/a.csv")
    house.put("sources/j1/retry-1.csv")
    house.put("results/j1.csv")
    house.put("sources/j2/a.csv")
    stores: list[Any] = [Stubborn(CannotGoOnError("the disk is read-only")), *house.stores]
    report = asyncio.run(Purging(stores).purge(job("j1"), house.gate))
    assert report.problem == "results: the disk is read-only"
    assert house.left() == ["sources/j2/a.csv"]
    assert asyncio.run(Purging(stores[1:]).purge(job("j1"), house.gate)).problem is None


@pytest.mark.parametrize("error", [TimeoutError(), KafkaException(KafkaError(7)), ValueError("odd"), OSError("no")])
@pytest.mark.parametrize("place", [0, 2, 5])
def test_whatever_one_store_meets_the_others_are_emptied(tmp_path: Path, error: Exception, place: int) -> None:
    house = House(tmp_path)
    house.keys.obtain("j1")
    for path in ("sources/j1/a.csv", "results/j1.csv", "parts/j1/1.csv"):
        house.put(path)
    stores: list[Any] = list(house.stores)
    stores.insert(place, Stubborn(error))
    report = asyncio.run(Purging(stores).purge(job("j1"), house.gate))
    assert report.problem is not None and report.problem.startswith("results: ") and repr(error) in report.problem
    assert house.left() == []
    with pytest.raises(FencedError):
        asyncio.run(Purging([Stubborn(FencedError()), *stores]).purge(job("j1"), house.gate))


def test_a_purge_says_what_it_can_not_remove_while_the_storage_is_not_mounted(tmp_path: Path) -> None:
    """A mount point without its storage is an empty folder: nothing of the job seems to be there."""
    root, away = tmp_path / "storage", tmp_path / "away"
    house = House(root)
    house.keys.obtain("j1")
    for path in ("sources/j1/a.csv", "sources/j1/retry-1.csv", "results/j1.csv", "parts/j1/1.csv"):
        house.put(path)
    root.rename(away)
    root.mkdir()
    for store in house.stores:
        report = asyncio.run(Purging([store]).purge(job("j1"), house.gate))
        assert report.problem is not None and report.problem.startswith(f"{store.name}: ")
        assert "it is not mounted" in report.problem
    assert not list(root.iterdir())
    root.rmdir()
    away.rename(root)
    assert asyncio.run(Purging(house.stores).purge(job("j1"), house.gate)).problem is None and house.left() == []


class Merging:
    """An Elasticsearch that has a deleted document in each index, and takes long to write an index's files anew."""

    def __init__(self) -> None:
        self.indices = self
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.merging: list[str] = []
        self.merged: list[str] = []
        self.most = 0

    def options(self, **_: Any) -> Merging:
        return self

    async def get(self, **_: Any) -> Any:
        return SimpleNamespace(body={"an index": {}})

    async def put_settings(self, **_: Any) -> None: ...

    async def flush(self, **_: Any) -> None: ...

    async def forcemerge(self, *, index: str, **_: Any) -> None:
        self.merging.append(index)
        self.begun.set()
        self.most = max(self.most, len(self.merging))
        await self.go.wait()
        self.merging.remove(index)
        self.merged.append(index)

    async def stats(self, **_: Any) -> Any:
        return SimpleNamespace(body={"_all": {"total": {"docs": {"deleted": 0}}}})


def test_a_merge_takes_no_slot_from_the_requests_of_other_jobs(tmp_path: Path) -> None:
    async def story() -> None:
        client = Merging()
        sink = BulkSink(client, in_flight=1)  # type: ignore[arg-type]
        settings = Settings(storage=tmp_path)
        kept = stores(settings, open_storage(settings), sink, JobKeys(tmp_path), Clock())
        documents = [store for store in kept if isinstance(store, Documents)]
        expunging = [asyncio.create_task(store.expunge(lambda: None)) for store in documents]
        await client.begun.wait()
        await asyncio.wait_for(sink.ask(client.get, lambda: None), PATIENCE)
        assert client.merged == []
        client.go.set()
        await asyncio.gather(*expunging)
        assert sorted(client.merged) == sorted(store.index for store in documents) and client.most == 1

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


@pytest.mark.parametrize("error", [TimeoutError(), KafkaException(KafkaError(KafkaError._TIMED_OUT))])
def test_a_silent_kafka_is_no_unexpected_error(error: Exception) -> None:
    def silent() -> None:
        raise error

    with pytest.raises(CannotGoOnError, match="Kafka does not"):
        asyncio.run(topics._in_thread(silent))


def test_a_path_that_leads_out_of_the_storage_is_left_alone(tmp_path: Path) -> None:
    house = House(tmp_path / "storage")
    outside = tmp_path / "important.csv"
    outside.write_bytes(b"x")
    for path in (str(outside), "../important.csv", "sources/../../important.csv"):
        asyncio.run(Purging(house.stores).purge(job("j1", source=Source(path=path)), house.gate))
    assert outside.exists()


@pytest.mark.parametrize(
    ("key", "value", "ours"),
    [
        (b"j1", b"{}", True),
        (b"other", b'{"job_id": "j1", "row": 1}', True),
        (b"other", b'{"job_id": "j2", "note": "j1"}', False),
        (None, b'{"job_id":"j1","values":{"na', True),
        (b"j2", b"", False),
        (None, None, False),
    ],
)
def test_a_dead_letter_belongs_to_the_job_that_it_names(key: bytes | None, value: bytes | None, ours: bool) -> None:
    class Letter:
        def key(self) -> bytes | None:
            return key

        def value(self) -> bytes | None:
            return value

    letter: Any = Letter()
    assert belongs(letter, {"j1"}) is ours


class Letter:
    """A dead letter as confluent-kafka gives it."""

    def __init__(self, offset: int, job_id: str, written: Any = None, age_days: float = 0) -> None:
        self._offset, self._key = offset, job_id.encode()
        self._at = int((time.time() - age_days * DAY) * 1000)
        self._headers = [] if written is None else [("first-written", written)]

    def offset(self) -> int:
        return self._offset

    def partition(self) -> int:
        return 0

    def topic(self) -> str:
        return "sluice.dead-letters"

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return b"{}"

    def headers(self) -> Any:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return 1, self._at


class Written:
    """A producer of which Kafka refuses dead letters of some jobs, at once or later."""

    def __init__(self, refused: dict[str, tuple[int, bool]]) -> None:
        self.refused = refused
        self.records: list[tuple[str, dict[str, bytes]]] = []

    def produce(self, _: str, __: bytes, key: bytes, ___: int, headers: Any, on_delivery: Any) -> None:
        code, at_once = self.refused.get(key.decode(), (0, False))
        if at_once:
            raise KafkaException(KafkaError(code))
        if not code:
            self.records.append((key.decode(), dict(headers)))
        on_delivery(KafkaError(code) if code else None, None)

    def flush(self, _: float) -> int:
        return 0


def rewritten(
    monkeypatch: pytest.MonkeyPatch, *letters: Letter, refused: dict[str, tuple[int, bool]] | None = None
) -> tuple[Written, list[Any]]:
    """What is written once more of these dead letters when the job `j` is purged, and what is removed then."""
    producer, removed = Written(refused or {}), list[Any]()
    monkeypatch.setattr(topics, "TopicReading", lambda *_: list(letters))
    monkeypatch.setattr(topics, "roll", lambda *_: {0: len(letters)})
    monkeypatch.setattr(topics, "Producer", lambda _: producer)
    monkeypatch.setattr(topics, "remove_before", lambda *given: removed.append(given))
    store = topics.DeadLetters(Settings(), 30, asyncio.Lock())
    store._remove({"j"}, lambda: None)
    return producer, removed


def test_dead_letters_that_say_oddly_when_they_were_written_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = (None, b"", b"abc", b"-1", b"9" * 5000, "٣".encode(), b"1.5")
    letters = [Letter(number, f"other-{number}", header) for number, header in enumerate(odd)]
    old = Letter(len(odd), "old", str(int((time.time() - 40 * DAY) * 1000)).encode())
    producer, removed = rewritten(monkeypatch, *letters, old, Letter(9, "old-too", b"?", age_days=40), Letter(10, "j"))
    assert [key for key, _ in producer.records] == [f"other-{number}" for number in range(len(odd))]
    assert all(int(headers["first-written"]) > 1_700_000_000_000 for _, headers in producer.records)
    assert len(removed) == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_a_dead_letter_that_is_too_long_to_be_written_again_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, at_once: bool
) -> None:
    refused = {"long": (KafkaError.MSG_SIZE_TOO_LARGE, at_once)}
    letters = Letter(0, "j"), Letter(1, "long"), Letter(2, "other")
    producer, removed = rewritten(monkeypatch, *letters, refused=refused)
    assert ([key for key, _ in producer.records], len(removed)) == (["other"], 1)
    assert "offset 1" in caplog.text and "too long" in caplog.text
    for code in (KafkaError._MSG_TIMED_OUT, KafkaError.TOPIC_AUTHORIZATION_FAILED):
        with pytest.raises(CannotGoOnError):
            rewritten(monkeypatch, *letters, refused={"other": (code, at_once)})


def test_retentions_are_days_of_each_store_and_dataset() -> None:
    book = retention_book({"row_errors": 3, "datasets": {"people": {"row_errors": "forever"}}})
    assert (book.days("row_errors", "people"), book.days("row_errors", "teams")) == (float("inf"), 3)
    assert (book.longest("row_errors"), book.longest("parts")) == (float("inf"), 1)
    for wrong in ({"row_error": 1}, {"row_errors": 0}, {"row_errors": "always"}, {"datasets": {"people": 1}}):
        with pytest.raises(ValueError):
            retention_book(wrong)
