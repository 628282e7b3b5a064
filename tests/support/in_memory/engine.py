"""An engine whose records, requests and sleeps the test sees, and operations that note what they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

from aiokafka.errors import KafkaError
from msgspec.structs import replace

from control.jobtable import JobTable
from processor.assembly import make_engine
from processor.blocked import Blocked, PutOffs
from processor.elastic import reading
from processor.elastic.bulk import BulkSink, Gate
from processor.execution import searching
from processor.metrics import WorkerMetrics
from processor.operations.work import Result
from processor.outcome import Outcome
from processor.stream.lease import Lease
from processor.stream.log_reader import RestoredPartitions
from runtime.clock import Clock
from runtime.files.storage import Storage
from runtime.settings import Settings
from schemas.indices import data_index
from schemas.job import ENDED, Job, State
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import decode, encode
from schemas.messages.commands import (
    Command,
    WorkFailed,
)
from schemas.messages.dead_letters import DeadLetter
from schemas.messages.lanes import OWNER_KEY, LaneRecord, OwnerRecord, lane_key
from tests.support.in_memory.control import world_in
from tests.support.waiting import PATIENCE

Record = tuple[str, bytes, bytes | None, int | None]
SETTINGS = Settings(topic_partitions=2)
DATASETS: Any = {"people": SimpleNamespace()}


class Sleeps:
    """A sleep that lasts until the test says so."""

    def __init__(self) -> None:
        self._sleeping: list[tuple[float, asyncio.Event]] = []

    async def __call__(self, seconds: float) -> None:
        over = asyncio.Event()
        self._sleeping.append((seconds, over))
        await over.wait()

    @property
    def seconds(self) -> list[float]:
        return [seconds for seconds, _ in self._sleeping]

    def end(self, seconds: float) -> None:
        """End the sleeps of this length."""
        for length, over in self._sleeping:
            if length == seconds:
                over.set()


class Parked:
    """The rows topic, as it is read a second time."""

    def __init__(self) -> None:
        self.assigned: list[int] = []

    def assign(self, partitions: Iterable[int]) -> None:
        self.assigned = list(partitions)

    async def read(self, partition: int, first: int, last: int) -> list[tuple[int, bytes]]:
        raise AssertionError("every block is in memory")


class Worker:
    """An engine, what it is given, and a list of what it writes."""

    made: ClassVar[list[Worker]] = []
    """The workers of a story."""

    def __init__(
        self, operation: Any = None, datasets: Any = DATASETS, sink: BulkSink | None = None, storage: Path | None = None
    ) -> None:
        """`sink`: None: one that finds nothing, and is always answered. `storage`: the folder with the keys of jobs."""
        self.made.append(self)
        self.now = 7.0
        """Seconds of its steady clock."""
        self.written: list[Record] = []
        self.letters: list[DeadLetter] = []
        self.kafka_error: KafkaError | None = None
        self.buries = asyncio.Event()
        self.buries.set()
        self.asked = 0
        """Requests to Elasticsearch, of which each finds nothing."""
        self.datasets = datasets
        self.jobs = JobTable()
        self.sleeps = Sleeps()
        self.reader = Parked()
        self.inherited = RestoredPartitions([], frozenset())
        publisher: Any = SimpleNamespace(publish_all=self._write, publish=self._write_one, bury=self._bury)
        own = SimpleNamespace(
            ask=self._answer,
            client=None,
            of=lambda *_: self.sink,
            once=lambda: self.sink,
            put_offs=lambda: PutOffs(Blocked(), "", ""),
        )
        self.sink: Any = own if sink is None else sink
        reader: Any = self.reader
        operations = {} if operation is None else {"upload": operation, "export": operation}
        self.engine = make_engine(
            SETTINGS if storage is None else SETTINGS.model_copy(update={"storage": storage}),
            self.jobs,
            operations,
            datasets,
            self.sink,
            publisher,
            reader,
            self._inherit,
            Lease(PATIENCE),
            WorkerMetrics(),
            cast(Storage, None),
            Clock(now_ms=lambda: 5, monotonic=lambda: self.now, sleep=self.sleeps),
        )

    async def _write(self, records: Iterable[Record]) -> None:
        self.written += records

    async def _write_one(self, topic: str, key: bytes, value: bytes | None) -> None:
        self.written.append((topic, key, value, None))

    async def _bury(self, letters: Iterable[DeadLetter]) -> None:
        await self.buries.wait()
        if self.kafka_error is not None:
            raise self.kafka_error
        self.letters += letters

    async def _answer(self, request: Any, gate: Gate, *_: Any, **__: Any) -> Any:
        gate()
        self.asked += 1
        indices = [data_index(SETTINGS.prefix, name) for name in self.datasets]
        body = dict[str, Any].fromkeys(indices, {})
        answers = {reading.__name__: body, searching.__name__: [{}] * 200}
        made_in = getattr(request, "func", request).__module__
        return answers.get(made_in, SimpleNamespace(body=body))

    async def _inherit(self, partitions: Collection[int]) -> RestoredPartitions:
        return self.inherited

    async def own(self, job: Job, partitions: Collection[int] = (0,)) -> None:
        """Have it take partitions over, with a control table that has one job."""
        self.jobs.put(job)
        await self.engine.assigned(partitions)
        self.engine.recovered()
        await asyncio.sleep(0)

    async def meet(self, job: Job, offset: int, *columns: str) -> list[str]:
        """Have it take note of a block; answers a list that says once it is acknowledged."""
        said: list[str] = []
        named = list(columns) or ["a"]
        block = RowBlock(job_id=job.id, block=2 * offset, first_row=1, columns=named, rows=[["x"] * len(named)])
        await self.engine.dispatch(0, offset, encode(block), SimpleNamespace(ack=lambda: said.append("ack") or True))
        return said

    def change(self, job: Job, **changes: Any) -> Job:
        """A later state of the job in the control table."""
        later = replace(job, command_offset=job.command_offset + 1, **changes)
        self.jobs.put(later)
        return later

    def kept_of_jobs_that_are_over(self) -> list[bytes]:
        """The keys of lane records that it was given, or has written, and that no job needs any more."""
        newest: dict[bytes, bytes | None] = {
            lane_key(lane.job_id, lane.partition, lane.phase): b"" for lane in self.inherited.lanes
        }
        newest |= {lane_key(*lane): b"" for lane in self.inherited.lost}
        newest |= dict(self._to("lanes"))
        kept = [key for key, value in newest.items() if value is not None and not key.startswith(OWNER_KEY)]
        jobs = {key: self.jobs.get(key.decode().partition("/")[0]) for key in kept}
        return [key for key, job in jobs.items() if job is None or job.state in ENDED]

    @property
    def lanes(self) -> list[LaneRecord]:
        records = self._to("lanes")
        values = [value for key, value in records if not key.startswith(OWNER_KEY)]
        return [decode(value, LaneRecord) for value in values if value is not None]

    @property
    def owners(self) -> list[tuple[int, bool]]:
        """The partitions that it has signed, and whether as closed."""
        records = [decode(value or b"", OwnerRecord) for key, value in self._to("lanes") if key.startswith(OWNER_KEY)]
        return [(record.partition, record.closed) for record in records]

    def reports(self, kind: type[Any]) -> list[Any]:
        """What it has reported to the control agent, of one kind."""
        reports = [decode(value or b"", Command) for _, value in self._to("reports")]
        return [report for report in reports if isinstance(report, kind)]

    @property
    def failed(self) -> list[tuple[str, str]]:
        """The jobs that it says can't go on, and why."""
        return [(report.job_id, report.reason) for report in self.reports(WorkFailed)]

    def _to(self, topic: str) -> list[tuple[bytes, bytes | None]]:
        return [(key, value) for name, key, value, _ in self.written if name == topic]


def looked_at() -> Job:
    """A job that runs, whose first rows have been looked at."""
    return replace(world_in(State.RUNNING).job(), inspection="done")


def tell(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a story of workers, with a bound for one that never ends."""

    async def run() -> None:
        Worker.made.clear()
        await asyncio.wait_for(story(), PATIENCE)
        for worker in Worker.made:
            if worker.engine.lanes.open:
                await worker.engine._checkpoints.flush()
                assert not worker.kept_of_jobs_that_are_over()

    asyncio.run(run())


async def until(condition: Callable[[], object]) -> None:
    """Let the others have their turns until it is true."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never comes true")


async def eventually(condition: Callable[[], object]) -> None:
    """As `until`, of what threads do as well; `tell` has the bound."""
    while not condition():
        await asyncio.sleep(0.001)
        await turns()


async def turns() -> None:
    """Let the others have as many turns as they may want."""
    for _ in range(50):
        await asyncio.sleep(0)


class Steps:
    """An operation that notes what it is asked for. What it does with blocks is given; `hold` keeps it from that."""

    def __init__(self, apply: Callable[..., Any] | None = None, makes_file: bool = False, left: int = 2) -> None:
        self._apply = apply or (lambda work, blocks: applied(blocks))
        self.kind = SimpleNamespace(makes_file=makes_file)
        self.left = left
        self.done: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def apply(self, work: Any, blocks: Any) -> Any:
        self.done.append("apply")
        await self.hold.wait()
        return self._apply(work, blocks)

    undo = apply

    async def finish(self, work: Any) -> None:
        self.done.append("finish")
        await self.hold.wait()
        work.gate()

    async def discard(self, work: Any) -> int:
        self.done.append("discard")
        return 3

    async def left_over(self, work: Any) -> tuple[int, int]:
        self.done.append("left over")
        return self.left, 9

    async def keep(self, work: Any) -> None:
        self.done.append("keep")


def applied(blocks: Collection[Any]) -> Result:
    return Result([Outcome(applied=1, last_row=1) for _ in blocks])


def raises(error: Exception) -> Callable[..., Any]:
    def apply(*_: Any) -> None:
        raise error

    return apply


def finishing() -> Job:
    """A job all of whose blocks are applied, and whose file is to be made."""
    return replace(looked_at(), operation="export", finishing=True, epoch=1)


def checking() -> Job:
    """A job whose rows are taken out, and are to be counted."""
    return replace(world_in(State.ROLLING_BACK).job(), operation="export", checking=True)


def record(key: bytes | None, value: bytes, offset: int, partition: int = 0) -> Any:
    """A record of the lanes topic, as a consumer hands it over."""
    return SimpleNamespace(key=key, value=value, partition=partition, offset=offset)
