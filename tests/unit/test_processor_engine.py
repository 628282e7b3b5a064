"""What a worker writes when it gives its partitions up, and when it has lost them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from control.jobtable import JobTable
from processor import engine as module
from processor.engine import Engine
from processor.errors import UnansweredError
from processor.lanes.lane import Loaded
from processor.operations.work import Result
from processor.stream.lease import Lease
from processor.stream.log_reader import RestoredPartitions, inheritance_of
from runtime.settings import Settings
from schemas.blocks import BlockHead, RowBlock
from schemas.codec import decode, encode
from schemas.commands import WorkFailed
from schemas.dead_letters import DeadLetter
from schemas.job import Job, State
from schemas.lanes import OWNER_KEY, LaneRecord, OwnerRecord, lane_key, owner_key
from tests.unit.test_control_world import world_in

Record = tuple[str, bytes, bytes | None, int | None]


class Worker:
    """An engine that owns partition 0 of the rows, and a list of what it writes."""

    def __init__(self) -> None:
        self.written: list[Record] = []
        self.letters: list[DeadLetter] = []
        self.jobs = JobTable()
        publisher: Any = SimpleNamespace(publish_all=self._write, publish=self._write_one, bury=self._bury)
        reader: Any = SimpleNamespace(assign=lambda _: None)
        sink: Any = SimpleNamespace(ask=self._answer)
        metrics: Any = None
        self.engine = Engine(
            Settings(topic_partitions=1), self.jobs, {}, {}, sink, publisher, reader, Lease(10), metrics
        )

    async def _write(self, records: Iterable[Record]) -> None:
        self.written += records

    async def _write_one(self, topic: str, key: bytes, value: bytes | None) -> None:
        self.written.append((topic, key, value, None))

    async def _bury(self, letters: Iterable[DeadLetter]) -> None:
        self.letters += letters

    async def _answer(self, *_: Any) -> Any:
        return SimpleNamespace(body={})

    async def own(self, job: Job, inherited: RestoredPartitions | None = None) -> None:
        self.jobs.put(job)
        module.read_lane_records = self._inherit(inherited or RestoredPartitions([], frozenset()))
        await self.engine.assigned([0])
        self.written.clear()
        self.engine.recovered()
        await asyncio.sleep(0)

    def _inherit(self, inherited: RestoredPartitions) -> Any:
        async def read(*_: Any) -> RestoredPartitions:
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

    @property
    def failed(self) -> list[tuple[str, str]]:
        """The jobs that it says can't go on, and why."""
        reports = [decode(value or b"", WorkFailed) for _, value in self._to("commands")]
        return [(report.job_id, report.reason) for report in reports]

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


async def until(condition: Callable[[], object]) -> None:
    """Let the others have their turns until it is true."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never comes true")


def operation(apply: Callable[..., Any]) -> Any:
    async def run(*args: Any) -> Any:
        return apply(*args)

    return SimpleNamespace(apply=run, undo=run, kind=SimpleNamespace(makes_file=False))


def refuse(*_: Any) -> None:
    raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("operations", "datasets", "reason"),
    [
        ({}, {"people": None}, "a worker has no operation 'upload'"),
        ({"upload": operation(refuse)}, {}, "a worker has no dataset 'people'"),
        ({"upload": operation(refuse)}, {"people": SimpleNamespace()}, "no such thing"),
        ({"upload": operation(lambda *_: Result([]))}, {"people": SimpleNamespace()}, "gave 0 outcomes for 1 blocks"),
        ({"upload": operation(lambda *_: None)}, {"people": SimpleNamespace()}, "an error that it is not made for"),
    ],
)
def test_an_error_of_one_job_fails_that_job_once(
    monkeypatch: pytest.MonkeyPatch, operations: Any, datasets: Any, reason: str
) -> None:
    """A worker of another version, or an operation with a fault: the worker goes on, and so do the other jobs."""

    async def story(worker: Worker) -> None:
        job = world_in(State.RUNNING).job()
        worker.engine._operations, worker.engine._datasets = operations, datasets
        await worker.own(job)
        said = await worker.meet(job, 7)
        running = asyncio.create_task(worker.engine.run())
        await until(lambda: worker.failed)
        for _ in range(50):
            worker.engine._wake()
            await asyncio.sleep(0)
        assert not running.done()
        assert [job_id for job_id, _ in worker.failed] == [job.id], "it gets no further turn in this epoch"
        assert reason in worker.failed[0][1]
        await worker.engine.revoked()
        assert said == ["ack"] and worker.lanes[-1].todo == ((7, 7, 1),), "its blocks are kept for a resume"
        running.cancel()

    tell(monkeypatch, story)


def test_a_lane_whose_record_is_lost_fails_its_job_in_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it nobody knows which blocks are applied: a job that went on would never end."""

    async def story(worker: Worker) -> None:
        job = world_in(State.RUNNING).job()
        records = [record(b"%b/0" % job.id.encode(), b"{", 5), record(b"other/0", b"[" * 9000, 6), record(b"?", b"", 7)]
        await worker.own(job, inheritance_of("sluice.lanes", records))
        await until(lambda: worker.failed)
        assert worker.failed[0][0] == job.id and "offset 5" in worker.failed[0][1]
        assert [headers["offset"] for _, _, headers in worker.letters] == ["5", "6", "7"]
        worker.jobs.put(replace(job, epoch=job.epoch + 1, command_offset=job.command_offset + 1))
        await until(lambda: len(worker.failed) == 2)

    tell(monkeypatch, story)


def record(key: bytes | None, value: bytes, offset: int) -> Any:
    return SimpleNamespace(key=key, value=value, partition=0, offset=offset)


def test_what_an_owner_leaves_is_found_among_records_that_cannot_be_read() -> None:
    good = LaneRecord(job_id="a", partition=0, partitions=4)
    key = lane_key("a", 0, "apply")
    elsewhere = encode(replace(good, partition=3))
    records = [
        record(key, encode(good), 0),
        record(owner_key(0), b"null", 1),
        record(lane_key("b", 0, "undo"), elsewhere, 2),
        record(None, encode(good), 3),
        record(b"\xff/0", b"\xff", 4),
    ]
    found = inheritance_of("sluice.lanes", records)
    assert found.lanes == [good]
    assert found.unclosed == {0}, "an owner that can't be read may have a request on its way"
    assert [rejected.offset for rejected in found.rejected] == [1, 2, 3, 4]
    assert list(found.lost) == [("b", "undo")]
