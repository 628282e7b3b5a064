"""Whose error an error is: of a record, of a job, or of the worker. Without servers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from processor.errors import CannotGoOnError, FencedError
from processor.operations.work import Result
from processor.stream.log_reader import inheritance_of
from schemas.job import State
from schemas.messages.blocks import UndoBlock
from schemas.messages.codec import encode
from schemas.messages.commands import (
    WorkFailed,
)
from schemas.messages.lanes import OwnerRecord, lane_key, owner_key
from tests.support.in_memory.control import world_in
from tests.support.in_memory.engine import (
    DATASETS,
    Steps,
    Worker,
    applied,
    looked_at,
    raises,
    record,
    tell,
    turns,
    until,
)


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
    """A lane record says which blocks are applied. If the job went on without it, it would never end."""

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
