"""A job whose requests are put off again and again holds up no other job, and says why it does not go on."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from elastic_transport import ConnectionTimeout
from msgspec.structs import replace

from processor.elastic.bulk import BulkSink
from processor.execution.batches import SLOW_SECONDS
from runtime.clock import Clock
from schemas.job import Job
from tests.support.in_memory.engine import DATASETS, Steps, Worker, applied, looked_at, tell, turns, until
from tests.support.stubs.bulk import StubClient, answers, api_error

BLOCKS = 12


class Writing(Steps):
    """Writes each block with a request to the index of its job's dataset."""

    def __init__(self, sink: BulkSink) -> None:
        super().__init__()
        self.sink = sink

    async def apply(self, work: Any, blocks: Any) -> Any:
        index = f"data-{work.job.dataset}"
        own = self.sink.of(work.job.id, work.job.dataset, index)
        await own.send([b'{"create":{"_id":"%s:1"}}\n{}' % work.job.id.encode()], work.gate, index)
        self.done += [work.job.id] * len(blocks)
        return applied(blocks)


class Indices(StubClient):
    """Elasticsearch, of which one index can't be written to: it puts items or requests off, or is silent."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how: str | None = how

    async def bulk(self, *, index: str | None = None, **asked: Any) -> Any:
        if index == "data-people" and self.how is not None:
            await asyncio.sleep(0)
            if self.how == "silent":
                raise ConnectionTimeout("timed out")
            if self.how == "busy":
                raise api_error(429)
            self.script = [answers([503])]
        return await super().bulk(index=index, **asked)


def jobs() -> tuple[Job, Job, Job]:
    """Two of the dataset whose index is away, and one of another organisation and dataset."""
    bad = looked_at()
    return bad, replace(bad, id="j2"), replace(bad, id="j3", organisation="other", dataset="pets")


async def meet(worker: Worker, *of: Job) -> None:
    for offset in range(BLOCKS):
        for place, job in enumerate(of):
            worker_offset = offset * len(of) + place
            await worker.meet(job, worker_offset)
        await turns()


def errors(worker: Worker) -> dict[str, bool]:
    return {lane.job_id: lane.error is not None for lane in worker.engine.lanes}


def put_off(how: str) -> None:
    async def story() -> None:
        client = Indices(how)

        async def sleep(_: float) -> None:
            await asyncio.sleep(0)

        sink = BulkSink(client, in_flight=1, clock=Clock(sleep=sleep))  # type: ignore[arg-type]
        operation = Writing(sink)
        worker = Worker(operation, {**DATASETS, "pets": SimpleNamespace()})
        sink.blocked = worker.sink.blocked
        bad, other, good = jobs()
        for job in (other, good):
            worker.jobs.put(job)
        await worker.own(bad)
        running = asyncio.create_task(worker.engine.run())
        await meet(worker, bad, other, good)
        await until(lambda: operation.done.count(good.id) == BLOCKS)
        assert set(operation.done) == {good.id}
        assert errors(worker) == {bad.id: True, other.id: True, good.id: False}
        client.how = None
        await until(lambda: len(operation.done) == 3 * BLOCKS)
        await turns()
        assert errors(worker) == {bad.id: False, other.id: False, good.id: False}
        running.cancel()

    tell(story)


def test_items_that_are_put_off_hold_up_the_jobs_of_their_dataset_alone() -> None:
    put_off("items")


def test_requests_that_are_put_off_hold_up_the_jobs_of_their_dataset_alone() -> None:
    put_off("busy")


def test_a_silent_index_holds_up_the_jobs_of_its_dataset_alone() -> None:
    put_off("silent")


def test_a_job_that_waits_for_storage_holds_up_no_other() -> None:
    async def story() -> None:
        lasts = asyncio.Event()

        class Storing(Steps):
            async def apply(self, work: Any, blocks: Any) -> Any:
                if work.job.id == "j1":
                    with work.trouble("bucket acme-exports: timed out"):
                        await lasts.wait()
                self.done += [work.job.id] * len(blocks)
                return applied(blocks)

        operation = Storing()
        worker = Worker(operation)
        bad, other, _ = jobs()
        worker.jobs.put(other)
        await worker.own(bad)
        running = asyncio.create_task(worker.engine.run())
        await meet(worker, bad, other)
        await until(lambda: operation.done.count(other.id) == BLOCKS)
        lasts.set()
        await until(lambda: len(operation.done) == 2 * BLOCKS)
        running.cancel()

    tell(story)


def test_a_job_whose_batches_never_end_holds_up_others_for_a_while_only() -> None:
    """Of an operation of somebody's own, say, that waits for a service without an end."""

    async def story() -> None:
        class Endless(Steps):
            async def apply(self, work: Any, blocks: Any) -> Any:
                if work.job.id == "j1":
                    await asyncio.Event().wait()
                self.done += [work.job.id] * len(blocks)
                return applied(blocks)

        operation = Endless()
        worker = Worker(operation)
        bad, other, _ = jobs()
        await worker.own(bad)
        running = asyncio.create_task(worker.engine.run())
        for offset in range(BLOCKS):
            await worker.meet(bad, offset)
            await turns()
        worker.jobs.put(other)
        for offset in range(BLOCKS, 2 * BLOCKS):
            await worker.meet(other, offset)
        await turns()
        worker.now += SLOW_SECONDS
        await worker.meet(other, 2 * BLOCKS)
        await until(lambda: operation.done.count(other.id) == BLOCKS + 1)
        running.cancel()

    tell(story)
