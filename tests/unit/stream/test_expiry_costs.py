"""What housekeeping writes for what expires: little more than once what jobs have written, though every hour the
documents and records of other jobs are kept no longer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from elastic_transport import ObjectApiResponse
from msgspec.structs import replace

from control.jobtable import JobTable
from extensions.testing.memory import MemoryElasticsearch, MemoryIndices
from processor.elastic.bulk import BulkSink
from processor.elastic.documents import bulk_item
from processor.erasure import topics
from processor.erasure.documents import Documents
from processor.erasure.housekeeping import Housekeeping
from processor.erasure.stores import stores
from runtime.clock import Clock
from runtime.files.sealing import JobKeys
from runtime.files.shared_folder import mark
from runtime.files.storage import open_storage
from runtime.settings import Settings
from schemas.indices import REPORT_MAPPINGS
from schemas.job import Job, LaneTotals, Options, Source, State
from schemas.messages.commands import StoresEmptied
from schemas.policies.retention import EXPIRING
from schemas.topics import DAY_MS
from tests.support.in_memory.housekeeping import keep_house

HOUR_MS = 3_600_000
EACH_HOURS = 4
"""Hours between two jobs; each has two refused rows."""
BEGIN = 1_790_000_000_000
FILES = ("uploaded_files", "corrected_files", "parts", "results")
"""Stores of files, which are removed one by one."""


@dataclass(frozen=True)
class Letter:
    """A record of the topic as confluent-kafka gives it."""

    place: tuple[int, int]
    job_id: str
    at: int
    more: tuple[tuple[str, bytes], ...] = ()

    def partition(self) -> int:
        return self.place[0]

    def offset(self) -> int:
        return self.place[1]

    def topic(self) -> str:
        return "sluice.dead-letters"

    def key(self) -> bytes:
        return self.job_id.encode()

    def value(self) -> bytes:
        return json.dumps({"job_id": self.job_id}).encode()

    def headers(self) -> Any:
        return list(self.more)

    def timestamp(self) -> tuple[int, int]:
        return 1, self.at


@dataclass
class Kafka:
    """The topic of dead letters: its records, and what is read and written again of them."""

    partitions: tuple[int, ...] = (0, 1)
    now: int = BEGIN
    read: int = 0
    written_again: int = 0
    logs: dict[int, list[Letter]] = field(default_factory=lambda: {0: [], 1: []})
    ends: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0})

    def add(self, partition: int, job_id: str, *more: tuple[str, bytes]) -> None:
        self.logs[partition].append(Letter((partition, self.ends[partition]), job_id, self.now, more))
        self.ends[partition] += 1

    def reading(self, _: Settings, __: str, partitions: Collection[int] | None = None) -> Iterator[Letter]:
        for partition in self.partitions if partitions is None else partitions:
            for letter in tuple(self.logs[partition]):
                self.read += 1
                yield letter

    def roll(self, _: Settings, __: str, partitions: Collection[int]) -> dict[int, int]:
        return {partition: self.ends[partition] for partition in partitions}

    def remove_before(self, _: Settings, __: str, ends: dict[int, int]) -> None:
        for partition, end in ends.items():
            self.logs[partition] = [letter for letter in self.logs[partition] if letter.offset() >= end]

    def produce(self, _: str, __: bytes, key: bytes, partition: int, headers: Any, on_delivery: Any) -> None:
        self.written_again += 1
        self.add(partition, key.decode(), *headers)

    def flush(self, _: float) -> int:
        return 0

    def stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(topics, "TopicReading", self.reading)
        monkeypatch.setattr(topics, "Producer", lambda _: self)
        monkeypatch.setattr(topics, "roll", self.roll)
        monkeypatch.setattr(topics, "remove_before", self.remove_before)
        monkeypatch.setattr(topics, "now_ms", lambda: self.now)
        monkeypatch.setattr(topics, "partitions_of", lambda *_: list(self.partitions), raising=False)


class Indices(MemoryIndices):
    """Merges an index as a whole: what it holds is written anew where something is deleted."""

    async def get(self, *, index: str, **_: Any) -> ObjectApiResponse[Any]:
        return ObjectApiResponse(body={index: {}}, meta=(await self.put_settings()).meta)

    async def put_settings(self, **_: Any) -> ObjectApiResponse[Any]:
        return await self.refresh(index="s-none", ignore_unavailable=True)

    async def flush(self, **_: Any) -> ObjectApiResponse[Any]:
        return await self.put_settings()

    async def forcemerge(self, *, index: str, **_: Any) -> ObjectApiResponse[Any]:
        client: Any = self._client
        if index in client.deleted:
            client.merged[index] = client.merged.get(index, 0) + len(client.contents()[index])
            client.deleted.remove(index)
        return await self.put_settings()

    async def stats(self, *, index: str, **_: Any) -> ObjectApiResponse[Any]:
        deleted = int(index in self._client.deleted)  # type: ignore[attr-defined]
        body = {"_all": {"total": {"docs": {"deleted": deleted}}}}
        return ObjectApiResponse(body=body, meta=(await self.put_settings()).meta)


class Elasticsearch(MemoryElasticsearch):
    """Counts the documents that are written anew by merges, by index."""

    def __init__(self) -> None:
        super().__init__({f"s-{name}": mapping for name, mapping in REPORT_MAPPINGS.items()})
        self.indices = Indices(self)
        self.merged: dict[str, int] = {}
        self.deleted: set[str] = set()

    def options(self, **more: Any) -> Elasticsearch:
        return self

    async def bulk(self, *, operations: bytes, **more: Any) -> Any:
        if operations.startswith(b'{"delete"'):
            self.deleted.add(json.loads(operations.splitlines()[0])["delete"]["_index"])
        return await super().bulk(operations=operations, **more)


class Year:
    """Jobs with refused rows, hour after hour, and the housekeeping of every hour."""

    def __init__(self, folder: Path, kafka: Kafka, **retention: Any) -> None:
        settings = Settings(prefix="s", storage=folder, retention=json.dumps(retention))
        self.kafka, self.client, self.table = kafka, Elasticsearch(), JobTable()
        self.made = 0
        self.clock = Clock(now_ms=lambda: kafka.now, monotonic=lambda: (kafka.now - BEGIN) / 1000)
        mark(folder)
        storage, keys = open_storage(settings), JobKeys(folder)
        sink = BulkSink(self.client)  # type: ignore[arg-type]
        self.stores = stores(settings, storage, sink, keys, self.clock)
        self.keeping = Housekeeping(
            self.table, self.stores, settings.retentions, storage, folder, keys, self.clock, self.report
        )

    async def report(self, found: StoresEmptied) -> None:
        job = self.table.get(found.job_id)
        assert job is not None
        expired = {**job.expired, **dict.fromkeys(found.stores, self.kafka.now)}
        self.table.put(replace(job, expired=expired, command_offset=job.command_offset + 1))

    async def pass_by(self, days: int) -> None:
        for hour in range(days * 24):
            self.kafka.now = BEGIN + hour * HOUR_MS
            if hour % EACH_HOURS == 0:
                await self.make(f"j{hour}")
            for job in list(self.table):
                if self.kafka.now - (job.ended_at or 0) > 30 * DAY_MS:
                    self.table.remove(job.id)  # as the control agent does
            await keep_house(self.keeping, lambda: None)

    async def make(self, job_id: str) -> None:
        """A dry run of which two rows were refused."""
        self.made += 2
        self.table.put(
            Job(
                id=job_id, operation="upload", dataset="people", organisation="a", created_by="a",
                state=State.COMPLETED_WITH_ERRORS, created_at=self.kafka.now, command_offset=self.made * 100,
                partitions=2, ended_at=self.kafka.now, applied=LaneTotals(rows_failed=2), source=Source(kind="file"),
                options=Options(dry_run=True),
            )
        )  # fmt: skip
        documents = [
            bulk_item("index", f"s-{index}", f"{job_id}:{row}", {"job_id": job_id, "row": row, "at": self.kafka.now})
            for index in ("errors", "previews")
            for row in (1, 2)
        ]
        await self.client.bulk(operations=b"\n".join(documents) + b"\n")
        for _ in range(2):
            self.kafka.add(self.made // 2 % 2, job_id)


@pytest.mark.parametrize(("dead_letters", "days"), [(30, 40), (5, 12)])
def test_what_expires_every_hour_has_little_written_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dead_letters: int, days: int
) -> None:
    kafka = Kafka()
    kafka.stand_in(monkeypatch)
    year = Year(tmp_path, kafka, dead_letters=dead_letters, row_errors=10, previews=10)
    asyncio.run(year.pass_by(days))

    assert kafka.written_again == 0, "Kafka's own retention never comes to records that are written again and again"
    assert kafka.read <= year.made + days * 24 * len(kafka.partitions), "of what stays the first is read"
    left = [letter for log in kafka.logs.values() for letter in log]
    assert left and min(letter.at for letter in left) >= kafka.now - dead_letters * DAY_MS

    indices = {store.name: store.index for store in year.stores if isinstance(store, Documents)}
    checked = {name: indices[name] for name in EXPIRING if name in indices}
    for name, index in checked.items():
        kept = len(year.client.contents()[index])
        assert 0 < kept <= 10 * 24 // EACH_HOURS * 2 + 2, f"{name}: what is older than ten days is gone"
        assert year.client.merged[index] <= year.made * 10, f"{name}: a document is written anew once a day"
    assert {*checked, "dead_letters", *FILES} == set(EXPIRING), "measure a new store as well"


def test_a_dataset_with_a_time_of_its_own_has_the_topic_written_again_once_a_day(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kafka = Kafka()
    kafka.stand_in(monkeypatch)
    year = Year(tmp_path, kafka, dead_letters=30, datasets={"people": {"dead_letters": 2}})
    kafka.add(0, "of another dataset")
    asyncio.run(year.pass_by(6))

    left = [letter for log in kafka.logs.values() for letter in log]
    own = [letter for letter in left if letter.job_id != "of another dataset"]
    assert len(left) == len(own) + 1, "it has its time yet"
    assert own and min(letter.at for letter in own) >= kafka.now - 7 * DAY_MS
    jobs = {job.id: job for job in year.table}
    young = [letter.job_id for letter in own if "dead_letters" not in jobs[letter.job_id].expired]
    assert len(young) == len(own), "what is told to be gone is gone"
    kept = 3 * 24 // EACH_HOURS * 2 + 1
    assert len(own) <= kept and 0 < kafka.written_again <= 6 * kept


def test_dead_letters_that_a_purge_has_written_again_keep_their_age(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kafka = Kafka()
    kafka.stand_in(monkeypatch)
    year = Year(tmp_path, kafka, dead_letters=5)
    (letters,) = [store for store in year.stores if isinstance(store, topics.DeadLetters)]

    async def story() -> list[tuple[str, list[str]]]:
        def left(when: str) -> tuple[str, list[str]]:
            return when, [letter.job_id for letter in kafka.logs[1]]

        for job_id in ("old", "purged", "young"):
            kafka.add(1, job_id)
            kafka.now += DAY_MS
        await letters.remove([job_of("purged")], lambda: None)
        seen = [left("on day 3")]
        for day in (4, 6, 8):
            kafka.now = BEGIN + day * DAY_MS
            await letters.remove_old(lambda: None)
            seen.append(left(f"on day {day}"))
        return seen

    assert asyncio.run(story()) == [
        ("on day 3", ["old", "young"]),
        ("on day 4", ["old", "young"]),
        ("on day 6", ["young"]),
        ("on day 8", []),
    ]


def job_of(job_id: str) -> Job:
    return Job(
        id=job_id, operation="upload", dataset="people", organisation="a", created_by="a", state=State.COMPLETED,
        created_at=1, command_offset=1, partitions=2,
    )  # fmt: skip
