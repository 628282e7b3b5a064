"""Documents of jobs that have left the control table: which are found, however many jobs there are, and which stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from control.jobtable import JobTable
from extensions.testing.memory import MemoryElasticsearch
from processor.elastic import orphans
from processor.elastic.bulk import BulkSink
from processor.elastic.documents import bulk_item
from processor.elastic.orphans import delete_orphans
from processor.erasure.documents import Documents
from processor.erasure.housekeeping import Housekeeping
from processor.execution.report_retention import delete_old_reports
from processor.operations.dry_run_preview import preview_item
from processor.operations.modes.retention import sweep_images
from runtime.clock import Clock
from runtime.files.sealing import JobKeys
from runtime.files.shared_folder import mark
from runtime.files.storage import open_storage
from runtime.settings import Settings
from schemas.indices import REPORT_MAPPINGS
from schemas.job import Job, LaneTotals, State
from schemas.policies.retention import retention_book
from schemas.topics import DAY_MS
from tests.support.in_memory import housekeeping
from tests.support.stubs.bulk import run

NOW = 1_790_000_000_000
LONG_AGO = NOW - 200 * DAY_MS
Act = Callable[[MemoryElasticsearch, JobTable, Path], Any]


class Elasticsearch(MemoryElasticsearch):
    """Notes how many values a query names, at most, and does something at each deletion."""

    def __init__(self) -> None:
        super().__init__({f"s-{name}": mapping for name, mapping in REPORT_MAPPINGS.items()})
        self.named = 0
        self.at_deletion: Callable[[], object] = lambda: None

    async def search(self, *, query: Any = None, **more: Any) -> Any:
        for part in (query or {}).get("bool", {}).get("filter", []):
            self.named = max(self.named, *map(len, part.get("terms", {"": ()}).values()))
        return await super().search(query=query, **more)

    async def bulk(self, *, operations: bytes, **more: Any) -> Any:
        answer = await super().bulk(operations=operations, **more)
        if operations.startswith(b'{"delete"'):
            self.at_deletion()
        return answer

    def add(self, index: str, job_ids: Collection[str], rows: int = 2, **fields: Any) -> None:
        lines = [
            bulk_item("index", f"s-{index}", f"{job_id}:{row}", {"job_id": job_id, "row": row, **fields})
            for job_id in job_ids
            for row in range(rows)
        ]
        run(super().bulk(operations=b"\n".join(lines) + b"\n"))
        run(self.indices.refresh(index=f"s-{index}"))

    def add_preview(self, of: Job) -> None:
        run(super().bulk(operations=preview_item(of, "s-previews", 1, b"{}") + b"\n"))
        run(self.indices.refresh(index="s-previews"))

    def jobs_in(self, index: str) -> set[str]:
        return {key.partition(":")[0] for key in self.contents()[f"s-{index}"]}


def job(job_id: str, state: State = State.COMPLETED, ended_at: int | None = NOW, offset: int = 9) -> Job:
    return Job(
        id=job_id, operation="upload", dataset="people", organisation="a", created_by="a", state=state, created_at=1,
        command_offset=offset, partitions=2, ended_at=ended_at, applied=LaneTotals(), mode="upsert",
    )  # fmt: skip


def sweep(client: MemoryElasticsearch, table: JobTable, _: Path) -> None:
    asyncio.run(sweep_images(BulkSink(client), "s", table, lambda: None, NOW - 30 * DAY_MS))  # type: ignore[arg-type]


def retire(client: MemoryElasticsearch, table: JobTable, _: Path) -> None:
    asyncio.run(delete_old_reports(BulkSink(client), "s", table, 100, NOW, lambda: None))  # type: ignore[arg-type]


def keep_house(client: MemoryElasticsearch, table: JobTable, folder: Path) -> None:
    async def report(_: Any) -> None:
        raise AssertionError("no job is due")

    clock, sink = Clock(now_ms=lambda: NOW), BulkSink(client)  # type: ignore[arg-type]
    stores = (
        Documents("previews", "s-previews", sink, clock, lambda job: False),
        Documents("row_errors", "s-errors", sink, clock, lambda job: False),
    )
    mark(folder)
    storage, keys = open_storage(Settings(storage=folder)), JobKeys(folder)
    keeping = Housekeeping(table, stores, retention_book({}), storage, folder, keys, clock, report)
    asyncio.run(housekeeping.keep_house(keeping, lambda: None))


EACH = [
    *((sweep, name) for name in ("images", "changes", "undone")),
    *((retire, name) for name in ("progress", "errors")),
    *((keep_house, name) for name in ("errors", "previews")),
]


@pytest.mark.parametrize(("act", "index"), EACH)
def test_all_that_gone_jobs_have_left_goes_and_all_of_known_ones_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, act: Act, index: str
) -> None:
    """However many jobs there are in the table and in the index, whichever has the most documents."""
    monkeypatch.setattr(orphans, "JOBS", 3)
    client, table = Elasticsearch(), JobTable()
    known, gone = [f"known{number}" for number in range(20)], [f"{letter}-gone" for letter in "ahklmnz"]
    for job_id in known:
        table.put(job(job_id))
    client.add(index, known, 5, at=LONG_AGO)
    client.add(index, gone, at=LONG_AGO)
    act(client, table, tmp_path)
    assert client.jobs_in(index) == set(known) and client.named <= orphans.JOBS


def test_images_go_after_their_time_however_few_documents_their_job_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(orphans, "JOBS", 3)
    client, table = Elasticsearch(), JobTable()
    old, young = [f"old{number}" for number in range(5)], [f"young{number}" for number in range(20)]
    for job_id in young:
        table.put(job(job_id))
    for job_id in old:
        table.put(job(job_id, ended_at=LONG_AGO))
    table.put(job("failed", State.FAILED, ended_at=None))
    client.add("images", [*young, "failed"], 5, order=9)
    client.add("images", old, 1, order=1)
    sweep(client, table, tmp_path)
    assert client.jobs_in("images") == {*young, "failed"}


@pytest.mark.parametrize(("act", "index"), [pair for pair in EACH if pair[0] is not retire])
def test_a_job_that_comes_while_documents_are_deleted_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, act: Act, index: str
) -> None:
    """It may have the id of one that is gone: that of an Idempotency-Key, for instance."""
    monkeypatch.setattr("processor.elastic.deleting.PAGE", 4)
    client, table = Elasticsearch(), JobTable()
    table.put(job("known"))
    client.add(index, ["gone", "last"], 7, at=LONG_AGO)

    def come() -> None:
        client.at_deletion = lambda: None
        for job_id in ("new", "last"):
            table.put(job(job_id, State.RUNNING, None))
        client.add(index, ["new"], at=LONG_AGO)

    client.at_deletion = come
    act(client, table, tmp_path)
    assert client.jobs_in(index) == {"new", "last"}


def test_what_a_job_has_written_whose_state_is_on_its_way_to_this_worker_stays() -> None:
    client, table = Elasticsearch(), JobTable()
    table.put(job("known", offset=35))
    client.add("images", ["gone"], order=34)
    client.add("images", ["started-with-it"], order=35)
    client.add("images", ["coming"], order=36)
    sink = BulkSink(client)  # type: ignore[arg-type]
    assert asyncio.run(delete_orphans(sink, "s-images", table, lambda: None)) == 2
    assert client.jobs_in("images") == {"coming", "started-with-it"}


def test_the_preview_of_a_dry_run_whose_state_is_on_its_way_to_this_worker_stays(tmp_path: Path) -> None:
    client, table = Elasticsearch(), JobTable()
    table.put(job("known", offset=35))
    client.add_preview(job("gone", offset=34))
    client.add_preview(job("coming", State.RUNNING, None, offset=36))
    keep_house(client, table, tmp_path)
    assert client.jobs_in("previews") == {"coming"}


def test_only_what_is_old_enough_goes_where_there_is_a_time_and_an_absent_index_has_nothing() -> None:
    client, table = Elasticsearch(), JobTable()
    client.add("errors", ["gone"], at=LONG_AGO)
    client.add("errors", ["gone2"], at=NOW)
    sink = BulkSink(client)  # type: ignore[arg-type]
    assert asyncio.run(delete_orphans(sink, "s-errors", table, lambda: None, NOW - DAY_MS)) == 2
    assert client.jobs_in("errors") == {"gone2"}
    assert asyncio.run(delete_orphans(sink, "s-nothing", table, lambda: None)) == 0
