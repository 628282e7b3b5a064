"""Which troubles are shown, and where. Without servers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from processor.erasure.purging import Purging
from schemas.job import Job, State
from schemas.messages.commands import (
    PurgeEnded,
)
from schemas.messages.lanes import LaneRecord, lane_key
from tests.support.in_memory.control import world_in
from tests.support.in_memory.engine import Steps, Worker, applied, checking, finishing, looked_at, tell, turns, until


def shown(worker: Worker) -> dict[str, str | None]:
    return {lane.job_id: lane.error for lane in worker.engine.lanes}


def test_a_trouble_of_one_job_is_shown_in_its_lanes_alone_and_as_long_as_it_lasts() -> None:
    async def story() -> None:
        lasts = asyncio.Event()

        class InTrouble(Steps):
            async def apply(self, work: Any, blocks: Any) -> Any:
                self.done.append(work.job.id)
                if work.job.id == "j1":
                    with work.trouble("bucket acme-exports: timed out"):
                        await lasts.wait()
                await self.hold.wait()
                return applied(blocks)

        operation = InTrouble()
        operation.hold.clear()
        worker = Worker(operation)
        own = looked_at()
        worker.jobs.put(replace(own, id="j2", organisation="other"))
        await worker.own(own)
        running = asyncio.create_task(worker.engine.run())
        await worker.meet(own, 7)
        await worker.meet(replace(own, id="j2"), 8)
        await until(lambda: len(operation.done) == 2)
        assert shown(worker) == {"j1": "bucket acme-exports: timed out", "j2": None}
        worker.sink.on_degraded("Elasticsearch can't be reached")
        assert shown(worker) == {"j1": "bucket acme-exports: timed out", "j2": "Elasticsearch can't be reached"}
        worker.sink.on_degraded(None)
        assert shown(worker) == {"j1": "bucket acme-exports: timed out", "j2": None}
        lasts.set()
        await until(lambda: shown(worker) == {"j1": None, "j2": None})
        worker.sink.on_degraded("Elasticsearch can't be reached")
        operation.hold.set()
        await until(lambda: worker.lanes and all(lane.applied for lane in worker.lanes))
        worker.sink.on_degraded("Elasticsearch takes too long to answer")
        assert set(shown(worker).values()) == {"Elasticsearch takes too long to answer"}, "until one is answered"
        worker.sink.on_degraded(None)
        assert set(shown(worker).values()) == {None}
        running.cancel()

    tell(story)


def waiting(kind: str) -> Job:
    """A job that waits for an answer of Elasticsearch, with no block in flight."""
    return {"its first rows": world_in(State.RUNNING).job(), "its count": checking(), "its file": finishing()}[kind]


@pytest.mark.parametrize("kind", ["its first rows", "its count", "its file"])
def test_a_job_that_waits_for_elasticsearch_says_so_whatever_it_waits_for(kind: str) -> None:
    async def story() -> None:
        worker = Worker(Steps(makes_file=True))
        answered = asyncio.Event()

        async def ask(*_: Any, **__: Any) -> Any:
            await answered.wait()
            return SimpleNamespace(body={})

        worker.sink.ask = ask
        job, idle = waiting(kind), replace(looked_at(), id="idle")
        for each in (job, idle):
            worker.inherited.lanes.append(
                LaneRecord(job_id=each.id, partition=0, partitions=2, phase=each.phase, run=each.run)
            )
        worker.jobs.put(idle)
        await worker.own(job)
        await turns()
        worker.sink.on_degraded("Elasticsearch can't be reached")
        assert shown(worker) == {job.id: "Elasticsearch can't be reached", "idle": None}
        answered.set()
        await turns()

    tell(story)


def purged() -> Job:
    """A job that is over, and of which everything that holds values is being removed."""
    return replace(world_in(State.COMPLETED).job(), purging=True, epoch=9)


def test_a_purge_that_waits_for_elasticsearch_says_so_until_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a job is over, so that it has no lane which could show it."""

    async def story() -> None:
        worker = Worker(Steps())
        goes_on = asyncio.Event()

        async def purge(_: Purging, job: Job, gate: Any) -> PurgeEnded:
            await goes_on.wait()
            return PurgeEnded(job_id=job.id, epoch=job.epoch)

        monkeypatch.setattr(Purging, "purge", purge)
        job = purged()
        await worker.own(job)
        await turns()
        worker.sink.on_degraded("Elasticsearch can't be reached")
        assert shown(worker) == {job.id: "Elasticsearch can't be reached"}
        await worker.engine._checkpoints.flush()
        assert [lane.error for lane in worker.lanes] == ["Elasticsearch can't be reached"]
        assert not [topic for topic, *_ in worker.written if topic == "progress"], "nothing was counted"
        worker.sink.on_degraded(None)
        assert shown(worker) == {job.id: None}
        goes_on.set()
        await until(lambda: worker.reports(PurgeEnded))
        worker.change(job, purging=False, purged_at=1)
        await worker.engine._checkpoints.flush()
        assert ("lanes", lane_key(job.id, 0, job.phase), None, 0) in worker.written, "no lane is left of it"
        worker.sink.on_degraded("Elasticsearch can't be reached")
        assert shown(worker) == {}

    tell(story)
