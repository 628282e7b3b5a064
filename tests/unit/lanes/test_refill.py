"""Parked blocks that are read again, or that are not there any more."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from aiokafka.errors import OffsetOutOfRangeError
from msgspec.structs import replace

from control.jobtable import JobTable
from processor.lanes.lane import Lane, Loaded
from processor.lanes.owned_lanes import Lanes
from processor.lanes.refill import Refill
from processor.lanes.room import Room
from processor.stream.log_reader import PositionError
from schemas.job import Job, State
from tests.support.in_memory.control import world_in


class Gone:
    """A log whose records retention has removed."""

    async def read(self, *_: int) -> Any:
        await asyncio.sleep(0)
        raise OffsetOutOfRangeError({})


def parked(job: Job) -> tuple[JobTable, Lanes, Lane, Room]:
    """The table with this job, and a lane of it whose only block, at offset 7, is not in memory."""
    jobs, lanes = JobTable(), Lanes()
    jobs.put(job)
    lane = Lane(job.id, 0, 2, job.phase, job.run)
    lane.meet(Loaded(7, 0, b""), 0)
    lanes.put(lane)
    return jobs, lanes, lane, Room(jobs, lanes, 16, lambda: ([job.id], 1))


def test_a_block_that_retention_has_removed_is_told_once() -> None:
    job = world_in(State.RUNNING).job()
    reader, broken = Gone(), list[str]()
    jobs, lanes, lane, room = parked(job)

    async def story() -> None:
        refill = Refill(jobs, lanes, reader, room, lambda: None, lambda _, reason: broken.append(reason))  # type: ignore[arg-type]
        task = asyncio.create_task(refill.run(0))
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(broken) == 1 and "1 parked blocks of partition 0, from offset 7 on" in broken[0]
        jobs.put(replace(job, epoch=job.epoch + 1, command_offset=job.command_offset + 1))
        refill.wake()
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(broken) == 2 and 7 in lane.todo
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(story())


def test_blocks_of_a_rollback_that_are_gone_are_told_with_what_helps() -> None:
    job = world_in(State.ROLLING_BACK).job()
    broken = list[str]()
    jobs, lanes, _, room = parked(job)

    async def story() -> None:
        refill = Refill(jobs, lanes, Gone(), room, lambda: None, lambda _, reason: broken.append(reason))  # type: ignore[arg-type]
        task = asyncio.create_task(refill.run(0))
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(story())
    assert len(broken) == 1
    assert "roll the job back once more" in broken[0] and "send the file again" not in broken[0]


def test_a_lane_forgets_no_block_that_was_not_read() -> None:
    class Elsewhere:
        async def read(self, *_: int) -> Any:
            raise PositionError("partition 0 was to be read from 7 on, and is at 9")

    job = world_in(State.RUNNING).job()
    jobs, lanes, lane, room = parked(job)

    async def story() -> None:
        refill = Refill(jobs, lanes, Elsewhere(), room, lambda: None, lambda *_: None)  # type: ignore[arg-type]
        with pytest.raises(PositionError):
            await refill.run(0)

    asyncio.run(story())
    assert list(lane.todo) == [7]
