"""What a worker writes when its partitions come and go, and whose error an error is. Without servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
from aiokafka.errors import KafkaError
from elastic_transport import ConnectionTimeout
from msgspec.structs import replace

from control.jobtable import JobTable
from processor import assembly
from processor.assembly import make_engine
from processor.elastic import reading
from processor.elastic.bulk import BulkSink, Gate
from processor.erasure.purging import Purging
from processor.errors import CannotGoOnError, FencedError, UnansweredError
from processor.execution import searching
from processor.execution.inspections import MOST_AT_ONCE
from processor.execution.maintenance import MINUTE
from processor.metrics import WorkerMetrics
from processor.operations.work import Result
from processor.outcome import Outcome
from processor.stream.lease import Lease
from processor.stream.log_reader import RestoredPartitions, inheritance_of
from runtime.clock import Clock
from runtime.datasets import load_datasets
from runtime.files.storage import Storage
from runtime.settings import Settings
from schemas.indices import data_index
from schemas.job import ENDED, Job, LaneTotals, Phase, Source, State
from schemas.messages.blocks import RowBlock, UndoBlock
from schemas.messages.codec import UndecodableError, decode, encode
from schemas.messages.commands import (
    Command,
    FileFinished,
    LanesRested,
    PurgeEnded,
    RowsInspected,
    UndoChecked,
    WorkFailed,
)
from schemas.messages.dead_letters import DeadLetter
from schemas.messages.lanes import OWNER_KEY, LaneRecord, OwnerRecord, lane_key, owner_key
from tests.support.in_memory.control import world_in
from tests.support.stubs.bulk import StubClient
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

    def __init__(self, operation: Any = None, datasets: Any = DATASETS) -> None:
        self.made.append(self)
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
        self.sink: Any = SimpleNamespace(ask=self._answer, client=None, of=lambda _: self.sink)
        reader: Any = self.reader
        operations = {} if operation is None else {"upload": operation, "export": operation}
        self.engine = make_engine(
            SETTINGS,
            self.jobs,
            operations,
            datasets,
            self.sink,
            publisher,
            reader,
            self._inherit,
            Lease(10),
            WorkerMetrics(),
            cast(Storage, None),
            Clock(now_ms=lambda: 5, monotonic=lambda: 7.0, sleep=self.sleeps),
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

    async def _answer(self, request: Any, *_: Any) -> Any:
        self.asked += 1
        indices = [data_index(SETTINGS.prefix, name) for name in self.datasets]
        body = dict[str, Any].fromkeys(indices, {})
        answers = {reading.__name__: body, searching.__name__: [{}] * 200}
        return answers.get(request.__module__, SimpleNamespace(body=body))

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


# -- first rows ------------------------------------------------------------------------------------------------------


def test_own_rows_are_asked_for_while_the_first_block_is_on_its_way() -> None:
    async def story() -> None:
        people = load_datasets()["people"]
        worker = Worker(Steps(), {"people": people})
        job = world_in(State.RUNNING).job()
        await worker.own(job)
        running = asyncio.create_task(worker.engine.run())
        await until(lambda: worker.asked)
        await turns()
        asked = worker.asked
        assert worker.reports(RowsInspected) == []
        await worker.meet(job, 0, *people.columns)
        await until(lambda: worker.reports(RowsInspected))
        (report,) = worker.reports(RowsInspected)
        assert (report.job_id, report.epoch, worker.asked, worker.failed) == (job.id, job.epoch, asked, [])
        running.cancel()

    tell(story)


def test_jobs_whose_files_are_still_to_come_keep_no_other_from_being_looked_at() -> None:
    async def story() -> None:
        people = load_datasets()["people"]
        worker = Worker(Steps(), {"people": people})
        first = world_in(State.RUNNING).job()
        jobs = [replace(first, id=f"{first.id}-{n}", organisation=f"o{n}") for n in range(3 * MOST_AT_ONCE)]
        for job in jobs:
            worker.jobs.put(job)
        await worker.own(first)
        running = asyncio.create_task(worker.engine.run())
        await until(lambda: worker.asked)
        await turns()
        await worker.meet(jobs[-1], 0, *people.columns)
        await until(lambda: worker.reports(RowsInspected))
        for job in jobs[:-1]:
            await worker.meet(job, 0, *people.columns)
        await until(lambda: len(worker.reports(RowsInspected)) == len(jobs))
        assert worker.reports(RowsInspected)[0].job_id == jobs[-1].id and worker.failed == []
        running.cancel()

    tell(story)


def test_a_job_that_stops_before_its_first_block_has_come_is_looked_at_when_it_goes_on() -> None:
    async def story() -> None:
        people = load_datasets()["people"]
        worker = Worker(Steps(), {"people": people})
        job = world_in(State.RUNNING).job()
        await worker.own(job)
        running = asyncio.create_task(worker.engine.run())
        await until(lambda: worker.asked)
        paused = worker.change(job, state=State.PAUSED, epoch=job.epoch + 1)
        await worker.meet(paused, 0, *people.columns)
        await turns()
        assert worker.reports(RowsInspected) == []
        resumed = worker.change(paused, state=State.RUNNING, epoch=paused.epoch + 1)
        await worker.meet(resumed, 0, *people.columns)
        asked = worker.asked
        await until(lambda: worker.asked > asked)
        running.cancel()

    tell(story)


# -- rebalancing -----------------------------------------------------------------------------------------------------


def test_a_new_owner_signs_its_partitions_and_goes_on_with_their_lanes() -> None:
    async def story() -> None:
        worker = Worker()
        job = world_in(State.PAUSED).job()
        worker.inherited = RestoredPartitions(
            [LaneRecord(job_id=job.id, partition=0, partitions=2, todo=((7, 7, 1),))], frozenset()
        )
        await worker.own(job, [0, 1])
        assert worker.owners == [(0, False), (1, False)] and worker.reader.assigned == [0, 1]
        said = await worker.meet(job, 7)
        await worker.engine.revoked()
        assert worker.lanes == [] and said == ["ack"], "the block is known already"

    tell(story)


def test_nothing_follows_from_a_table_that_is_not_up_to_date() -> None:
    async def story() -> None:
        worker = Worker(Steps())
        worker.jobs.put(looked_at())
        await worker.engine.assigned([0])
        assert not worker.engine.lanes.open and not worker.engine.ready.is_set()
        worker.engine.rebalancing()
        worker.engine.recovered()
        assert worker.engine.lanes.open and worker.engine.ready.is_set()
        await worker.engine.revoked()
        worker.engine.recovered()
        assert not worker.engine.lanes.open and not worker.engine.ready.is_set(), "it owns nothing"

    tell(story)


def test_what_is_given_up_is_left_in_good_order() -> None:
    async def story() -> None:
        worker = Worker()
        job = world_in(State.PAUSED).job()
        await worker.own(job)
        said = await worker.meet(job, 7)
        await worker.engine.revoked()
        assert [lane.todo for lane in worker.lanes] == [((7, 7, 1),)] and said == ["ack"]
        assert worker.owners == [(0, False), (0, True)]

    tell(story)


def test_what_was_lost_is_the_next_owner_s_to_write() -> None:
    """Its record may be newer: replaced by ours, the blocks that came since would be known to nobody."""

    async def story() -> None:
        worker = Worker()
        job = world_in(State.PAUSED).job()
        await worker.own(job)
        worker.written.clear()
        said = await worker.meet(job, 7)
        await worker.engine.revoked(lost=True)
        assert worker.written == [] and said == []

    tell(story)


@pytest.mark.parametrize("lost", [False, True])
def test_a_revocation_waits_for_the_requests_in_flight(lost: bool) -> None:
    async def story() -> None:
        operation = Steps()
        operation.hold.clear()
        worker = Worker(operation)
        job = looked_at()
        await worker.own(job)
        running = asyncio.create_task(worker.engine.run())
        said = await worker.meet(job, 7)
        await until(lambda: operation.done)
        revoking = asyncio.create_task(worker.engine.revoked(lost))
        await asyncio.sleep(0)
        written = len(worker.written)
        await turns()
        assert not revoking.done()
        operation.hold.set()
        await revoking
        running.cancel()
        if lost:
            assert worker.written[written:] == []
        else:
            assert worker.lanes[-1].totals.rows_applied == 1 and said == ["ack"]
            assert worker.owners[-1] == (0, True)

    tell(story)


@pytest.mark.parametrize("patience", [None, 10.0])
def test_a_partition_is_not_closed_while_a_request_is_in_flight(patience: float | None) -> None:
    """The wait for it has a bound: the group goes on without a worker that takes too long, or that is to end soon."""

    async def story() -> None:
        operation = Steps()
        operation.hold.clear()
        worker = Worker(operation)
        job = looked_at()
        await worker.own(job)
        running = asyncio.create_task(worker.engine.run())
        await worker.meet(job, 7)
        await until(lambda: operation.done)
        revoking = asyncio.create_task(worker.engine.revoked(patience=patience))
        bound = patience or SETTINGS.request_timeout_seconds + 5
        await until(lambda: bound in worker.sleeps.seconds)
        worker.sleeps.end(bound)
        await revoking
        assert worker.owners == [(0, False)]
        assert [lane.todo for lane in worker.lanes] == [((7, 7, 1),)], "the next owner applies it again"
        operation.hold.set()
        running.cancel()

    tell(story)


def test_a_partition_is_not_closed_where_a_request_may_still_be_carried_out() -> None:
    async def story() -> None:
        operation = Steps(raises(UnansweredError()))
        worker = Worker(operation)
        job = looked_at()
        await worker.own(job)
        running = asyncio.create_task(worker.engine.run())
        await worker.meet(job, 7)
        await until(lambda: operation.done)
        await worker.engine.revoked()
        assert worker.owners == [(0, False)] and worker.lanes[-1].todo == ((7, 7, 1),)
        running.cancel()

    tell(story)


def test_after_an_owner_that_did_not_close_its_partitions_no_job_has_stopped_for_a_while() -> None:
    """One of its requests may still be carried out."""

    async def story() -> None:
        worker = Worker()
        worker.inherited = RestoredPartitions([], frozenset({1}))
        job = world_in(State.PAUSING).job()
        await worker.own(job, [0, 1])
        running = asyncio.create_task(worker.engine.run())
        await until(lambda: worker.reports(LanesRested))
        (first,) = worker.reports(LanesRested)
        assert set(first.lanes) == {0}
        worker.sleeps.end(SETTINGS.request_age_seconds)
        await until(lambda: len(worker.reports(LanesRested)) == 2)
        assert set(worker.reports(LanesRested)[1].lanes) == {1}
        running.cancel()

    tell(story)


def test_a_partition_that_nobody_has_closed_is_not_closed_before_its_time() -> None:
    async def story() -> None:
        worker = Worker()
        worker.inherited = RestoredPartitions([], frozenset({1}))
        await worker.own(world_in(State.PAUSED).job(), [0, 1])
        await worker.engine.revoked()
        assert worker.owners == [(0, False), (1, False), (0, True)]

    tell(story)


def test_a_takeover_that_is_ended_early_closes_no_partition_that_nobody_has_closed() -> None:
    async def story() -> None:
        worker = Worker()
        worker.inherited = RestoredPartitions([], frozenset({1}))
        worker.buries.clear()
        taking_over = asyncio.create_task(worker.engine.assigned([0, 1]))
        await until(lambda: worker.engine.lanes.owned)
        taking_over.cancel()
        await asyncio.gather(taking_over, return_exceptions=True)
        await worker.engine.revoked()
        assert worker.owners == [(0, False), (1, False), (0, True)]

    tell(story)


# -- whose error it is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("apply", "datasets", "reason"),
    [
        (None, DATASETS, "a worker has no operation 'upload'"),
        (raises(ValueError("no such thing")), {}, "a worker has no dataset 'people'"),
        (raises(ValueError("no such thing")), DATASETS, "no such thing"),
        (raises(CannotGoOnError("the index is closed")), DATASETS, "the index is closed"),
        (lambda *_: Result([]), DATASETS, "gave 0 outcomes for 1 blocks"),
        (lambda *_: None, DATASETS, "an error that it is not made for"),
    ],
)
def test_an_error_of_one_job_fails_that_job_once(apply: Any, datasets: Any, reason: str) -> None:
    """A worker of another version, or an operation with a fault: the worker goes on, and so do the other jobs."""

    async def story() -> None:
        operation = None if apply is None else Steps(apply)
        worker = Worker(operation, datasets)
        job = looked_at()
        await worker.own(job)
        said = await worker.meet(job, 7)
        running = asyncio.create_task(worker.engine.run())
        await until(lambda: worker.failed)
        await worker.meet(job, 8)
        await turns()
        assert not running.done()
        assert [job_id for job_id, _ in worker.failed] == [job.id], "it gets no further turn in this epoch"
        assert reason in worker.failed[0][1]
        await worker.engine.revoked()
        assert said == ["ack"] and worker.lanes[-1].todo == ((7, 8, 2),), "its blocks are kept for a resume"
        running.cancel()

    tell(story)


def test_a_worker_that_fails_late_says_in_which_epoch_and_tries_again_in_the_next() -> None:
    """Another worker has failed the job meanwhile, and an operator has resumed it."""

    async def story() -> None:
        results = iter([raises(CannotGoOnError("the index is closed")), lambda _, blocks: applied(blocks)])
        operation = Steps(lambda *given: next(results)(*given))
        operation.hold.clear()
        worker = Worker(operation)
        job = looked_at()
        await worker.own(job)
        running = asyncio.create_task(worker.engine.run())
        await worker.meet(job, 7)
        await until(lambda: operation.done)
        worker.change(job, epoch=job.epoch + 2)
        operation.hold.set()
        await until(lambda: worker.lanes and worker.lanes[-1].applied)
        assert [report.epoch for report in worker.reports(WorkFailed)] == [job.epoch]
        running.cancel()

    tell(story)


def test_other_jobs_go_on_when_one_fails() -> None:
    async def story() -> None:
        def apply(work: Any, blocks: Any) -> Any:
            if work.job.id == "j1":
                raise ValueError("no such thing")
            return applied(blocks)

        worker = Worker(Steps(apply))
        bad = looked_at()
        good = replace(bad, id="j2")
        worker.jobs.put(good)
        await worker.own(bad)
        running = asyncio.create_task(worker.engine.run())
        await worker.meet(bad, 7)
        await worker.meet(good, 8)
        await until(lambda: worker.failed)
        await until(lambda: any(lane.job_id == "j2" and lane.applied for lane in worker.lanes))
        assert [job_id for job_id, _ in worker.failed] == ["j1"]
        running.cancel()

    tell(story)


def test_a_fence_is_no_error_and_the_blocks_stay_to_do() -> None:
    async def story() -> None:
        operation = Steps(raises(FencedError()))
        worker = Worker(operation)
        job = looked_at()
        await worker.own(job)
        await worker.meet(job, 7)
        running = asyncio.create_task(worker.engine.run())
        await until(lambda: operation.done)
        worker.change(job, state=State.PAUSED, epoch=job.epoch + 1)
        await worker.engine.revoked()
        assert worker.failed == [] and worker.lanes[-1].todo == ((7, 7, 1),)
        assert worker.owners[-1] == (0, True)
        running.cancel()

    tell(story)


def test_an_error_of_kafka_s_ends_the_worker_and_fails_no_job() -> None:
    async def story() -> None:
        worker = Worker(Steps())
        job = looked_at()
        await worker.own(job)
        worker.kafka_error = KafkaError()
        await worker.meet(job, 7)
        with pytest.raises(ExceptionGroup) as ended:
            await worker.engine.run()
        assert ended.group_contains(KafkaError)
        assert worker.failed == []
        await worker.engine.revoked()
        assert worker.lanes[-1].todo == ((7, 7, 1),), "its successor applies the block again"

    tell(story)


def test_a_lane_whose_record_is_lost_fails_its_job_in_each_epoch() -> None:
    """Without it nobody knows which blocks are applied: a job that went on would never end."""

    async def story() -> None:
        worker = Worker()
        job = looked_at()
        records = [record(b"%b/0" % job.id.encode(), b"{", 5), record(b"other/0", b"[" * 9000, 6), record(b"?", b"", 7)]
        worker.inherited = inheritance_of("sluice.lanes", records)
        await worker.own(job)
        await until(lambda: worker.failed)
        assert worker.failed[0][0] == job.id and "offset 5" in worker.failed[0][1]
        assert [headers["offset"] for _, _, headers in worker.letters] == ["5", "6", "7"]
        worker.change(job, epoch=job.epoch + 1)
        await until(lambda: len(worker.failed) == 2)

    tell(story)


@pytest.mark.parametrize("state", [State.PAUSED, State.FAILED, State.RUNNING])
def test_the_next_owner_of_a_lost_lane_knows_that_it_is_lost(state: State) -> None:
    """Blocks may come after the loss was found: from the inbox, or the last ones of the reader."""

    async def story() -> None:
        job = replace(world_in(state).job(), inspection="done")
        lane, owner = lane_key(job.id, 0, "apply"), owner_key(0)
        topic = {lane: b"{", owner: encode(OwnerRecord(partition=0, closed=True, at=1))}
        first, later = Worker(), Worker()
        first.inherited = inheritance_of("sluice.lanes", [record(*found, 5) for found in topic.items()])
        await first.own(job)
        said = await first.meet(job, 9)
        await first.engine.revoked()
        assert said == ["ack"] and first.owners[-1] == (0, True)
        topic.update((key, value or b"") for name, key, value, _ in first.written if name == "lanes")
        later.inherited = inheritance_of("sluice.lanes", [record(*found, 5) for found in topic.items()])
        await later.own(job)
        later.change(job, state=State.RUNNING, epoch=job.epoch + 1)
        await until(lambda: later.failed)
        assert "its checkpoint of partition 0 is lost" in later.failed[-1][1]

    tell(story)


def test_the_other_lanes_of_a_job_with_a_lost_one_are_kept_and_so_is_its_rollback() -> None:
    async def story() -> None:
        worker = Worker()
        job = world_in(State.PAUSED).job()
        worker.inherited = inheritance_of("sluice.lanes", [record(lane_key(job.id, 1, "apply"), b"{", 5, 1)])
        await worker.own(job, [0, 1])
        await worker.meet(job, 7)
        await worker.engine.revoked()
        assert [(lane.partition, lane.todo) for lane in worker.lanes] == [(0, ((7, 7, 1),))]
        undone = Worker()
        undone.inherited = worker.inherited
        rollback = world_in(State.ROLLBACK_PAUSED).job()
        await undone.own(rollback, [1])
        block = UndoBlock(job_id=job.id, block=1, first_row=1, last_row=5, run=rollback.run)
        await undone.engine.dispatch(1, 8, encode(block), SimpleNamespace(ack=lambda: True))
        await undone.engine.revoked()
        assert [(lane.partition, lane.phase) for lane in undone.lanes] == [(1, "undo")] and undone.failed == []

    tell(story)


def test_a_lane_that_is_lost_does_not_fail_the_rollback_that_begins_anew() -> None:
    async def story() -> None:
        worker = Worker()
        job = replace(looked_at(), state=State.FAILED, phase="undo", run=1)
        worker.inherited = inheritance_of("sluice.lanes", [record(lane_key(job.id, 0, "undo"), b"{", 5)])
        await worker.own(job)
        job = worker.change(job, state=State.ROLLING_BACK, epoch=job.epoch + 1)
        await until(lambda: worker.failed)
        assert "roll it back once more" in worker.failed[0][1], "a resumed one can't go on"
        job = worker.change(job, state=State.TERMINATING, epoch=job.epoch + 1)
        job = worker.change(job, state=State.ROLLING_BACK, epoch=job.epoch + 1, run=2)
        worker.change(job, epoch=job.epoch + 1)
        await turns()
        assert len(worker.failed) == 1

    tell(story)


# -- lane records of jobs that are over --------------------------------------------------------------------------------


def test_a_job_that_was_rolled_back_before_it_had_ended_leaves_no_lane_record() -> None:
    async def story() -> None:
        worker = Worker(Steps())
        job = looked_at()
        await worker.own(job, [0, 1])
        running = asyncio.create_task(worker.engine.run())
        await worker.meet(job, 7)
        await until(lambda: worker.lanes)
        job = worker.change(job, state=State.FAILED, epoch=job.epoch + 1)
        job = worker.change(job, state=State.ROLLING_BACK, phase="undo", run=1, epoch=job.epoch + 1)
        block = UndoBlock(job_id=job.id, block=0, first_row=1, last_row=1, run=1)
        await worker.engine.dispatch(0, 8, encode(block), SimpleNamespace(ack=lambda: True))
        await until(lambda: {lane.phase for lane in worker.lanes} == {"apply", "undo"})
        worker.change(job, state=State.ROLLED_BACK, epoch=job.epoch + 1, applied=LaneTotals(), ended_at=5)
        running.cancel()

    tell(story)


@pytest.mark.parametrize("over", [None, State.TERMINATED, State.ROLLED_BACK])
def test_records_that_earlier_owners_left_of_a_job_that_is_over_are_deleted(over: State | None) -> None:
    """None: it has left the control table."""

    async def story() -> None:
        worker = Worker()
        gone = replace(world_in(State.PAUSED).job(), id="gone")
        phases: tuple[Phase, ...] = ("apply", "undo") if over is not State.TERMINATED else ("apply",)
        worker.inherited = RestoredPartitions(
            [
                LaneRecord(job_id=gone.id, partition=0, partitions=2, phase=phase, run=run, todo=((7, 7, 1),))
                for run, phase in enumerate(phases)
            ],
            frozenset(),
            lost={(gone.id, 1, phase): "it is lost" for phase in phases},
        )
        if over is not None:
            run = len(phases) - 1
            worker.jobs.put(replace(world_in(over).job(), id=gone.id, phase=phases[-1], run=run, applied=LaneTotals()))
        await worker.own(looked_at(), [0, 1])
        assert not list(worker.engine.lanes) and not worker.engine.lanes.lost

    tell(story)


def test_records_of_a_job_whose_state_cannot_be_read_stay() -> None:
    async def story() -> None:
        worker = Worker()
        job = replace(looked_at(), id="unread")
        worker.inherited = RestoredPartitions(
            [LaneRecord(job_id=job.id, partition=0, partitions=2, todo=((7, 7, 1),))], frozenset()
        )
        with pytest.raises(UndecodableError):
            worker.jobs.apply(job.id.encode(), b"{")
        await worker.own(looked_at())
        assert [lane.job_id for lane in worker.engine.lanes] == [job.id]
        worker.jobs.put(job)

    tell(story)


# -- what is done once for a job -------------------------------------------------------------------------------------


def finishing(epoch: int = 1) -> Job:
    """A job all of whose blocks are applied, and whose file is to be made."""
    return replace(looked_at(), operation="export", finishing=True, epoch=epoch)


def checking() -> Job:
    """A job whose rows are taken out, and are to be counted."""
    return replace(world_in(State.ROLLING_BACK).job(), operation="export", checking=True)


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


# -- troubles that are shown -----------------------------------------------------------------------------------------


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


# -- what an owner has left ------------------------------------------------------------------------------------------


def record(key: bytes | None, value: bytes, offset: int, partition: int = 0) -> Any:
    return SimpleNamespace(key=key, value=value, partition=partition, offset=offset)


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
    assert list(found.lost) == [("b", 0, "undo")]
