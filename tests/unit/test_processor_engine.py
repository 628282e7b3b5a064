"""What a worker writes when it gives its partitions up, and when it has lost them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from control.jobtable import JobTable
from processor import engine as module
from processor.engine import Engine
from processor.errors import UnansweredError
from processor.lane import Loaded
from processor.lease import Lease
from processor.log_reader import Inheritance
from runtime.settings import Settings
from schemas.blocks import BlockHead, RowBlock
from schemas.codec import decode, encode
from schemas.job import Job, State
from schemas.lanes import OWNER_KEY, LaneRecord, OwnerRecord
from tests.unit.test_control_world import world_in

Record = tuple[str, bytes, bytes | None, int | None]


class Worker:
    """An engine that owns partition 0 of the rows, and a list of what it writes."""

    def __init__(self) -> None:
        self.written: list[Record] = []
        self.jobs = JobTable()
        publisher: Any = SimpleNamespace(publish_all=self._write)
        reader: Any = SimpleNamespace(assign=lambda _: None)
        sink: Any = SimpleNamespace(ask=self._answer)
        metrics: Any = None
        self.engine = Engine(
            Settings(topic_partitions=1), self.jobs, {}, {}, sink, publisher, reader, Lease(10), metrics
        )

    async def _write(self, records: Iterable[Record]) -> None:
        self.written += records

    async def _answer(self, *_: Any) -> Any:
        return SimpleNamespace(body={})

    async def own(self, job: Job, inherited: Inheritance | None = None) -> None:
        self.jobs.put(job)
        module.read_lane_records = self._inherit(inherited or Inheritance([], frozenset()))
        await self.engine.assigned([0])
        self.engine.recovered()
        await asyncio.sleep(0)
        self.written.clear()

    def _inherit(self, inherited: Inheritance) -> Any:
        async def read(*_: Any) -> Inheritance:
            return inherited

        return read

    async def meet(self, job: Job, offset: int) -> list[str]:
        """Have it take note of a block; answers a list that says once it is acknowledged."""
        said: list[str] = []
        block = RowBlock(job_id=job.id, block=offset, first_row=1, columns=["a"], rows=[["x"]])
        await self.engine.dispatch(0, offset, encode(block), SimpleNamespace(ack=lambda: said.append("ack") or True))
        return said

    @property
    def lanes(self) -> list[LaneRecord]:
        records = self._to("lanes")
        return [decode(value or b"", LaneRecord) for key, value in records if not key.startswith(OWNER_KEY)]

    @property
    def owners(self) -> list[OwnerRecord]:
        return [decode(value or b"", OwnerRecord) for key, value in self._to("lanes") if key.startswith(OWNER_KEY)]

    def _to(self, topic: str) -> list[tuple[bytes, bytes | None]]:
        return [(key, value) for name, key, value, _ in self.written if name == topic]


def tell(monkeypatch: pytest.MonkeyPatch, story: Callable[[Worker], Coroutine[Any, Any, None]]) -> None:
    """Run a story of a worker."""
    monkeypatch.setattr(module, "read_lane_records", None)

    async def run() -> None:
        await asyncio.wait_for(story(Worker()), 5)

    asyncio.run(run())


def test_what_is_given_up_is_left_in_good_order(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(worker: Worker) -> None:
        job = world_in(State.PAUSED).job()
        await worker.own(job)
        said = await worker.meet(job, 7)
        await worker.engine.revoked()
        assert [lane.todo for lane in worker.lanes] == [((7, 7, 1),)] and said == ["ack"]
        assert [owner.closed for owner in worker.owners] == [True]

    tell(monkeypatch, story)


def test_what_was_lost_is_the_next_owner_s_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its record may be newer: replaced by ours, the blocks that came since would be known to nobody."""

    async def story(worker: Worker) -> None:
        job = world_in(State.PAUSED).job()
        await worker.own(job)
        said = await worker.meet(job, 7)
        await worker.engine.revoked(lost=True)
        assert worker.written == [] and said == []

    tell(monkeypatch, story)


def test_no_goodbye_is_said_where_a_request_may_still_be_carried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(worker: Worker) -> None:
        job = world_in(State.RUNNING).job()
        await worker.own(job)
        lane = worker.engine.lanes.obtain(BlockHead(kind="rows", job_id=job.id, block=0, first_row=1), 0, 1)
        assert lane is not None

        async def apply(*_: Any) -> None:
            raise UnansweredError

        worker.engine._operations = {job.operation: SimpleNamespace(apply=apply)}
        worker.engine._datasets = {job.dataset: SimpleNamespace()}
        lane.meet(Loaded(7, 0, b""), 1)
        loaded = lane.take()
        assert loaded is not None
        await worker.engine._fly(job, [(lane, loaded, SimpleNamespace())])
        await worker.engine.revoked()
        assert worker.owners == [] and [lane.todo for lane in worker.lanes] == [((7, 7, 1),)]

    tell(monkeypatch, story)
