"""The documents of the reports: what a progress record becomes, and that every field of it is mapped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from processor.elastic.answers import Answer
from processor.elastic.bulk import BulkSink
from processor.lanes.lane import Lane, Loaded
from processor.outcome import Outcome
from processor.reporter import Reporter, job_document, progress_document
from schemas.indices import REPORT_MAPPINGS
from schemas.job import LaneTotals, State
from schemas.messages.codec import encode
from schemas.messages.progress import LaneProgress
from tests.support.in_memory.control import world_in
from tests.support.waiting import PATIENCE

UNMAPPED = {"source", "options"}
"""Of a job: kept, and not searched."""


def progress(**more: Any) -> LaneProgress:
    known: dict[str, Any] = {
        "job_id": "j1",
        "operation": "upload",
        "dataset": "people",
        "organisation": "acme",
        "partition": 3,
        "at": 1767225600000,
        "totals": LaneTotals(rows_applied=40, rows_failed=10, blocks=1, last_row=50),
    }
    return LaneProgress(**{**known, **more})


def settled(lane: Lane, offset: int, **counts: int) -> Lane:
    loaded = Loaded(offset, offset * lane.partitions, b"")
    lane.meet(loaded, 9)
    assert lane.take() is loaded
    lane.settle(loaded, Outcome(**counts))
    return lane


def fields(properties: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, kind in properties.items():
        if "properties" in kind:
            yield from fields(kind["properties"], f"{above}{name}.")
        else:
            yield f"{above}{name}"


def flat(document: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def test_the_zeros_of_a_progress_record_are_written() -> None:
    document = progress_document(progress())
    assert (document["phase"], document["run"], document["parked_blocks"]) == ("apply", 0, 0)
    assert document["added"] == dict.fromkeys(set(LaneTotals.__struct_fields__) - {"last_row"}, 0)


@pytest.mark.parametrize(("run", "lane"), [(0, "j1/3"), (2, "j1/3/2")])
def test_what_totals_are_cumulative_of_has_a_name(run: int, lane: str) -> None:
    assert progress_document(progress(run=run))["lane"] == lane


@pytest.mark.parametrize(("rows_total", "share"), [(200, 0.25), (50, 1.0), (0, None), (None, None)])
def test_a_lane_has_its_share_of_the_job_where_its_rows_are_known(rows_total: int | None, share: float | None) -> None:
    assert progress_document(progress(rows_total=rows_total)).get("share") == share


@pytest.mark.parametrize(
    ("more", "refused"),
    [({}, 10), ({"run": 1}, -40), ({"run": 2, "phase": "undo", "totals": LaneTotals(rows_undone=40, blocks=1)}, 0)],
)
def test_a_retry_takes_what_it_applies_off_the_refused_rows(more: dict[str, Any], refused: int) -> None:
    assert progress_document(progress(**more))["refused"] == refused


def test_of_a_jobs_states_the_last_one_is_reported_and_every_record_acknowledged() -> None:
    sent: list[bytes] = []
    acknowledged: list[int] = []

    async def send(items: Sequence[bytes], _: object) -> list[Answer]:
        sent.extend(items)
        return []

    async def story() -> None:
        world = world_in(State.COMPLETED)
        reporter = Reporter("s", cast(BulkSink, SimpleNamespace(send=send)))
        for number, record in enumerate(world.history):
            acknowledgement = SimpleNamespace(ack=lambda number=number: acknowledged.append(number))
            await reporter.job_event(encode(record), acknowledgement)
        all_acknowledged = asyncio.Event()
        await reporter.skip(cast(Any, SimpleNamespace(ack=all_acknowledged.set)))
        running = asyncio.create_task(reporter.run())
        await all_acknowledged.wait()
        running.cancel()
        assert len(world.history) > 1 and acknowledged == list(range(len(world.history)))

    asyncio.run(asyncio.wait_for(story(), PATIENCE))
    (document,) = sent
    assert b'"state":"COMPLETED"' in document


def test_every_field_of_the_reports_is_mapped() -> None:
    documents = {
        "progress": progress_document(progress(rows_total=200, run=1, phase="undo")),
        "jobs": job_document(world_in(State.COMPLETED).job()),
    }
    for name, document in documents.items():
        kept = {field: value for field, value in document.items() if field not in UNMAPPED}
        assert set(flat(kept)) <= set(fields(REPORT_MAPPINGS[name]["properties"])), name


@pytest.mark.parametrize("name", REPORT_MAPPINGS)
def test_every_report_is_found_by_its_job(name: str) -> None:
    kind = REPORT_MAPPINGS[name]["properties"]["job_id"]
    assert kind == ({"type": "alias", "path": "id"} if name == "jobs" else {"type": "keyword"})


def test_a_lane_tells_each_row_once() -> None:
    lane = settled(Lane("j1", 0, 2), 0, applied=4, failed=1)
    assert lane.take_unreported() == LaneTotals(rows_applied=4, rows_failed=1, blocks=1)
    assert lane.take_unreported() == LaneTotals()
    settled(lane, 1, applied=5)
    assert lane.take_unreported() == LaneTotals(rows_applied=5, blocks=1)


def test_a_lane_that_another_worker_takes_over_tells_what_comes_after_its_record() -> None:
    lane = Lane.restored(settled(Lane("j1", 0, 2), 0, applied=4).record(0))
    settled(lane, 1, applied=5)
    assert lane.totals.rows_applied == 9
    assert lane.take_unreported() == LaneTotals(rows_applied=5, blocks=1)
