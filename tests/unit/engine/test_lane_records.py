"""A worker deletes the lane records of jobs that have ended. Without servers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from processor.stream.log_reader import RestoredPartitions
from schemas.job import LaneTotals, Phase, State
from schemas.messages.blocks import UndoBlock
from schemas.messages.codec import UndecodableError, encode
from schemas.messages.lanes import LaneRecord
from tests.support.in_memory.control import world_in
from tests.support.in_memory.engine import Steps, Worker, looked_at, tell, until


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
