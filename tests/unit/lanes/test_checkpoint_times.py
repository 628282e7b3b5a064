"""When a worker's checkpoints are written and report: at once where something waits, and by a clock never set back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from control.jobtable import JobTable
from processor.lanes import checkpoints as module
from processor.lanes.checkpoints import PROGRESS_SECONDS, Checkpoints
from processor.lanes.lane import Lane, Loaded
from processor.lanes.owned_lanes import Lanes
from processor.outcome import Outcome
from processor.stream.lease import Lease
from runtime.clock import Clock
from schemas.job import LaneTotals, State
from schemas.messages.codec import decode
from schemas.messages.commands import Command, LanesCounted
from schemas.messages.progress import LaneProgress
from tests.support.in_memory.control import world_in

START_MS = 1_790_000_000_000


@pytest.mark.parametrize("step_ms", [0, -3_600_000, 3_600_000])
def test_progress_and_counts_go_on_after_the_clock_is_set(step_ms: int) -> None:
    job = world_in(State.RUNNING).job()
    job = replace(job, inspection="done", options=replace(job.options, max_errors="5%"))
    written: list[tuple[str, bytes]] = []
    times = SimpleNamespace(now=START_MS, passed=0.0)

    async def publish_all(records: Iterable[Any]) -> None:
        written.extend((topic, value) for topic, _, value, _ in records)

    jobs, lanes = JobTable(), Lanes(owned=frozenset({0}), open=True)
    jobs.put(job)
    lane = Lane(job.id, 0, job.partitions)
    lanes.put(lane)
    publisher: Any = SimpleNamespace(publish_all=publish_all)
    clock = Clock(now_ms=lambda: times.now, monotonic=lambda: times.passed)
    checkpoints = Checkpoints(jobs, lanes, publisher, clock, Lease(100))

    async def work(blocks: Iterable[int]) -> tuple[list[LaneProgress], list[LanesCounted]]:
        """Apply blocks, with a checkpoint after each, half of them as far apart as two of progress."""
        written.clear()
        for block in blocks:
            lane.meet(Loaded(block, block * job.partitions, b"", block * 500 + 1), 10)
            loaded = lane.take()
            assert loaded is not None
            lane.settle(loaded, Outcome(applied=490, failed=10, last_row=block * 500 + 500))
            checkpoints.touch(lane)
            await checkpoints.flush()
            times.now += int(PROGRESS_SECONDS * 500)
            times.passed += PROGRESS_SECONDS / 2
        progress = [decode(value, LaneProgress) for topic, value in written if topic == "progress"]
        reports = [decode(value, Command) for topic, value in written if topic == "reports"]
        return progress, [report for report in reports if isinstance(report, LanesCounted)]

    asyncio.run(work(range(4)))
    times.now += step_ms
    progress, counts = asyncio.run(work(range(4, 24)))
    assert len(progress) == len(counts) == 10
    assert [record.at for record in progress] == [START_MS + step_ms + 1000 + 500 * n for n in range(10)]


@pytest.mark.parametrize("waiting", ["the end", "a limit of errors", "a pause", "its first rows", "nothing"])
def test_what_something_waits_for_is_written_however_long_other_changes_are_gathered(
    waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEADY_SECONDS", 3600.0)
    job = replace(world_in(State.RUNNING).job(), inspection="done", partitions=1)
    if waiting == "the end":
        job = replace(job, input=replace(job.input, ended=True, blocks_per_partition=(2,)))
    if waiting == "a limit of errors":
        job = replace(job, options=replace(job.options, max_errors="5%"))
    jobs, lanes, written = JobTable(), Lanes(owned=frozenset({0}), open=True), asyncio.Event()
    jobs.put(job)
    lane = Lane(job.id, 0, 1)
    if waiting != "its first rows":
        lane.recorded = LaneTotals(rows_applied=500, blocks=1)
    lanes.put(lane)

    async def publish_all(records: Iterable[Any]) -> None:
        if any(topic == "lanes" for topic, *_ in records):
            written.set()

    async def apply(checkpoints: Checkpoints, block: int) -> None:
        lane.meet(Loaded(block, block, b"", block * 500 + 1), 10)
        loaded = lane.take()
        assert loaded is not None
        lane.settle(loaded, Outcome(applied=500, failed=0, last_row=block * 500 + 500))
        checkpoints.touch(lane)

    async def main() -> None:
        publisher: Any = SimpleNamespace(publish_all=publish_all)
        checkpoints = Checkpoints(jobs, lanes, publisher, Clock(), Lease(100))
        running = asyncio.create_task(checkpoints.run())
        await apply(checkpoints, 0)
        if waiting == "a pause":
            stopping = replace(job, state=State.PAUSING, epoch=job.epoch + 1)
            jobs.put(stopping)
            checkpoints.job_changed(stopping)
        await apply(checkpoints, 1)
        if waiting != "nothing":
            await written.wait()
        else:
            for _ in range(100):
                await asyncio.sleep(0)
            assert not written.is_set()
            await checkpoints.flush()
            assert written.is_set()
        running.cancel()

    asyncio.run(main())
