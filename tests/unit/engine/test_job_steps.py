"""What is done once for a job: its file, its count, its purge. Without servers."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from elastic_transport import ConnectionTimeout
from msgspec.structs import replace

from processor import assembly
from processor.elastic.bulk import BulkSink, Gate
from processor.execution.maintenance import MINUTE
from runtime.clock import Clock
from schemas.job import Job, Source, State
from schemas.messages.commands import (
    FileFinished,
    LanesRested,
    RowsInspected,
    UndoChecked,
)
from tests.support.in_memory.control import world_in
from tests.support.in_memory.engine import Steps, Worker, checking, finishing, tell, turns, until
from tests.support.stubs.bulk import StubClient


def test_the_owner_of_partition_0_makes_the_file_once_in_each_epoch() -> None:
    async def story() -> None:
        operation = Steps(makes_file=True)
        worker = Worker(operation)
        job = finishing()
        await worker.own(job, [0, 1])
        await until(lambda: worker.reports(FileFinished))
        job = worker.change(job)
        await turns()
        assert operation.done == ["finish"]
        worker.change(job, epoch=2)
        await until(lambda: len(worker.reports(FileFinished)) == 2)
        assert [report.epoch for report in worker.reports(FileFinished)] == [1, 2]

    tell(story)


def test_the_owner_of_partition_0_counts_what_a_rollback_has_left() -> None:
    async def story() -> None:
        operation = Steps(makes_file=True)
        worker = Worker(operation)
        await worker.own(checking(), [0])
        await until(lambda: worker.reports(UndoChecked))
        (report,) = worker.reports(UndoChecked)
        assert (report.remaining, report.last_row, report.rows_undone) == (2, 9, 3)
        assert operation.done == ["discard", "left over"]

    tell(story)


@pytest.mark.parametrize("job", [finishing(), checking()], ids=["finishing", "checking"])
def test_owners_of_other_partitions_do_no_job_steps(job: Job) -> None:
    async def story() -> None:
        operation = Steps(makes_file=True)
        worker = Worker(operation)
        await worker.own(job, [1])
        running = asyncio.create_task(worker.engine.run())
        await until(lambda: MINUTE in worker.sleeps.seconds)
        worker.sleeps.end(MINUTE)
        await turns()
        assert operation.done == [] and worker.reports(object) == []
        running.cancel()

    tell(story)


def test_a_job_that_is_paused_while_its_file_is_made_has_not_stopped_until_that_is_over() -> None:
    async def story() -> None:
        operation = Steps(makes_file=True)
        operation.hold.clear()
        worker = Worker(operation)
        job = finishing()
        await worker.own(job, [0, 1])
        running = asyncio.create_task(worker.engine.run())
        await until(lambda: operation.done)
        worker.change(job, state=State.PAUSING, epoch=2)
        await until(lambda: worker.reports(LanesRested))
        assert [set(report.lanes) for report in worker.reports(LanesRested)] == [{1}]
        operation.hold.set()
        await until(lambda: len(worker.reports(LanesRested)) == 2)
        assert set(worker.reports(LanesRested)[1].lanes) == {0}
        assert worker.reports(FileFinished) == [] and worker.failed == [], "the gate is closed"
        running.cancel()

    tell(story)


STEPS = ["finish", "discard", "left over", "purge"]


class Silent:
    """Elasticsearch, which is too slow for a write until `answering`. It may carry out each try later."""

    def __init__(self) -> None:
        self.client = StubClient()
        self.tries = 0
        self.answering = False
        self.sink = BulkSink(cast(Any, self), clock=Clock(monotonic=lambda: 7.0, sleep=lambda _: asyncio.sleep(0)))

    async def bulk(self, **request: Any) -> Any:
        self.tries += 1
        if not self.answering:
            raise ConnectionTimeout("slow")
        return await self.client.bulk(**request)

    async def write(self, gate: Gate) -> None:
        await self.sink.send([b'{"index":{"_index":"i","_id":"j1:1"}}\n{"n":1}'], gate)


class Writing(Steps):
    """An operation that writes in one of its steps that are done once for a job. It is a store of values as well."""

    def __init__(self, step: str, silent: Silent) -> None:
        super().__init__(makes_file=True)
        self.name = self.step = step
        self.silent = silent

    async def _write(self, step: str, gate: Gate) -> None:
        if step == self.step:
            await self.silent.write(gate)

    async def finish(self, work: Any) -> None:
        await self._write("finish", work.gate)

    async def discard(self, work: Any) -> int:
        await self._write("discard", work.gate)
        return 3

    async def left_over(self, work: Any) -> tuple[int, int]:
        await self._write("left over", work.gate)
        return 2, 9

    async def remove(self, _: Any, gate: Gate) -> None:
        await self._write("purge", gate)


async def writing_in(step: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Worker, Silent, Job]:
    """A worker that owns both partitions, and waits for the answer to a write in this step."""
    silent = Silent()
    operation = Writing(step, silent)
    monkeypatch.setattr(assembly, "stores", lambda *_: (operation,))
    job = finishing() if step == "finish" else checking()
    if step == "purge":
        job = replace(world_in(State.COMPLETED).job(), operation="export", purging=True)
    worker = Worker(operation)
    await worker.own(job, [0, 1])
    await until(lambda: silent.tries)
    return worker, silent, job


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_writes_is_not_over_in_the_next_epoch_until_its_write_is_answered(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        worker, silent, job = await writing_in(step, monkeypatch)
        running = asyncio.create_task(worker.engine.run())
        states: dict[str, dict[str, Any]] = {"finish": {"state": State.PAUSING}, "purge": {"purging": False}}
        worker.change(job, epoch=job.epoch + 1, **states.get(step, {"halting": True}))
        if step != "purge":
            await until(lambda: worker.reports(LanesRested))
        tries = silent.tries
        await until(lambda: silent.tries > tries + 5)
        assert [set(report.lanes) for report in worker.reports(LanesRested)] == [{1}] * (step != "purge")
        silent.answering = True
        if step == "purge":
            await until(lambda: silent.client.requests)
        else:
            await until(lambda: len(worker.reports(LanesRested)) == 2)
            assert set(worker.reports(LanesRested)[1].lanes) == {0}
        await worker.engine.revoked()
        assert worker.owners[2:] == [(0, True), (1, True)] and worker.failed == []
        running.cancel()

    tell(story)


@pytest.mark.parametrize("step", STEPS)
def test_partition_0_is_not_closed_while_the_write_of_a_step_may_still_be_carried_out(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        worker, _, _ = await writing_in(step, monkeypatch)
        await worker.engine.revoked()
        assert worker.owners[2:] == [(1, True)] and worker.failed == []

    tell(story)


def test_what_a_job_needs_is_kept_alive_while_it_is_paused() -> None:
    async def story() -> None:
        operation = Steps(makes_file=True)
        worker = Worker(operation)
        await worker.own(replace(world_in(State.PAUSED).job(), operation="export"), [0])
        running = asyncio.create_task(worker.engine.run())
        await until(lambda: MINUTE in worker.sleeps.seconds)
        assert operation.done == []
        worker.sleeps.end(MINUTE)
        await until(lambda: operation.done)
        assert operation.done == ["keep"]
        running.cancel()

    tell(story)


def test_the_file_of_an_earlier_export_with_the_id_of_this_one_is_not_taken_for_its_own() -> None:
    """An id that follows from an Idempotency-Key comes again; what is forgotten first is the earlier job."""

    async def story() -> None:
        operation = Steps(makes_file=True)
        worker = Worker(operation)
        job = replace(finishing(), inspection="due", source=Source(kind="query"))
        await worker.own(job)
        await until(lambda: worker.failed)
        assert operation.done == ["left over"], "no file is made, nor is one taken for this job's"
        ((_, reason),) = worker.failed
        assert "had the id j1 too, and has left its file" in reason and "nothing was written" in reason

    tell(story)


def test_an_export_whose_id_is_free_makes_its_file_once_that_is_known() -> None:
    async def story() -> None:
        operation = Steps(makes_file=True, left=0)
        worker = Worker(operation)
        job = replace(finishing(), inspection="due", source=Source(kind="query"))
        await worker.own(job)
        await until(lambda: worker.reports(RowsInspected))
        assert operation.done == ["left over"]
        worker.change(job, inspection="done")
        await until(lambda: worker.reports(FileFinished))

    tell(story)
