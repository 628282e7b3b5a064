"""Which blocks a worker has in memory, when there are more than there is room for."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from control.jobtable import JobTable
from processor.lanes import refill as refill_module
from processor.lanes import room as room_module
from processor.lanes.lane import Lane, Loaded
from processor.lanes.owned_lanes import JOB_STEP_PARTITION, Lanes
from processor.lanes.refill import CHUNK_BLOCKS, Refill
from processor.lanes.room import ROOM_BYTES, Room
from processor.lanes.scheduler import Batch, Scheduler, put_back
from processor.outcome import Outcome
from runtime.settings import Settings
from schemas.job import Job, Options, State
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import encode
from schemas.policies.quotas import QuotaBook
from tests.support.in_memory.control import world_in

PARTITIONS = 4
ROWS = 10
LEAST_ROOM = 8
MOST_STEPS = 20_000


def test_large_blocks_take_up_no_more_memory_than_there_is_for_them() -> None:
    job = world_in(State.RUNNING).job()
    jobs, lanes = JobTable(), Lanes()
    jobs.put(job)
    for partition in range(8):
        lanes.put(Lane(job.id, partition, 8))
    room = Room(jobs, lanes, 128, lambda: ([job.id], 1))
    assert room.each() == 128
    for _ in range(1000):
        room.met(256 * 1024)
    assert room.each() > 2 and 8 * room.each() * 256 * 1024 <= 1.01 * ROOM_BYTES
    for _ in range(1000):
        room.met(40 * 1024)
    assert room.each() == 128


def test_what_lanes_have_in_memory_is_counted_until_they_go() -> None:
    lanes = Lanes(owned=frozenset({0}))
    lane, later = Lane("j", 0, 1), Lane("j", 0, 1, "undo", 1)
    lane.meet(Loaded(1, 0, b"abc"), 9)
    lanes.put(lane)
    lane.meet(Loaded(2, 1, b"ab"), 9)
    assert (lanes.memory.blocks, lanes.memory.bytes) == (2, 5)
    taken = lane.take()
    lane.unload()
    assert taken is not None and (lanes.memory.blocks, lanes.memory.bytes) == (1, 3)
    lanes.put(later)
    assert (lanes.memory.blocks, lanes.memory.bytes) == (0, 0)
    lane.put_back([taken])
    lane.settle(taken, Outcome(0))
    later.meet(Loaded(3, 0, b"abcd"), 9)
    assert (lanes.memory.blocks, lanes.memory.bytes) == (1, 4)
    lanes.clear()
    assert (lanes.memory.blocks, lanes.memory.bytes) == (0, 0)


class Log:
    """The rows topic: partition -> offset -> block."""

    def __init__(self, along: int) -> None:
        """`along`: records that come along behind those that are asked for."""
        self.partitions: list[dict[int, RowBlock]] = [{} for _ in range(PARTITIONS)]
        self.read_again = 0
        self.along = along

    async def read(self, partition: int, first: int, last: int) -> list[tuple[int, bytes]]:
        await asyncio.sleep(0)
        log = self.partitions[partition]
        found = [(offset, log[offset]) for offset in range(first, min(last + self.along, len(log) - 1) + 1)]
        self.read_again += last - first + 1
        return [(offset, encode(block)) for offset, block in found]


class Story:
    """Some jobs, of which the worker does all that is theirs, by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.log, self.jobs, self.lanes = (
            Log(self.chance.choice((0, 4))),
            JobTable(),
            Lanes(owned=frozenset(range(PARTITIONS))),
        )
        self.now = 0.0
        self.scheduler = Scheduler(
            Settings(bulk_rows=3 * ROWS), QuotaBook(), self.jobs, self.lanes,
            lambda partition: self.refill.taken(partition), lambda _, reason: pytest.fail(reason),
            wants_first=lambda job_id: job_id in self.wanted,
        )  # fmt: skip
        self.room = Room(self.jobs, self.lanes, 16, lambda: self.scheduler.order(self.now))
        reader: Any = self.log
        self.refill = Refill(
            self.jobs, self.lanes, reader, self.room, lambda: None, lambda _, reason: pytest.fail(reason)
        )
        self.wanted: set[str] = set()
        self.paused: list[str] = []
        self.in_flight: list[tuple[Job, Batch]] = []
        self.settled: Counter[tuple[str, int]] = Counter()
        self.to_come = self._make()

    def _make(self) -> list[tuple[int, int]]:
        """The jobs, and the log; answers the places in which the blocks come: partition, offset."""
        to_come: list[tuple[int, int]] = []
        streams = []
        for number in range(self.chance.choice((1, 3, 12, 40))):
            rate = self.chance.choice((None, None, None, 5.0, 200.0))
            job = Job(
                id=f"job{number:02}", operation="upload", dataset="people", created_by="a", state=State.RUNNING,
                organisation=self.chance.choice("abc"), created_at=1, command_offset=number, partitions=PARTITIONS,
                options=Options(rows_per_second=rate), inspection=self.chance.choice((None, "due")),
            )  # fmt: skip
            self.jobs.put(job)
            self.scheduler.set_rate(job)
            blocks = self.chance.choice((1, 2, 9, 30))
            streams.append([
                RowBlock(job_id=job.id, block=b, first_row=b * ROWS + 1, columns=["a"], rows=[["x"]] * ROWS)
                for b in range(blocks)
            ])  # fmt: skip
        while streams:
            stream = self.chance.choice(streams)
            for block in stream[: self.chance.choice((1, 5))]:
                log = self.log.partitions[block.block % PARTITIONS]
                to_come.append((block.block % PARTITIONS, len(log)))
                log[len(log)] = block
                stream.remove(block)
            streams = [stream for stream in streams if stream]
        return to_come

    @property
    def blocks(self) -> int:
        return sum(map(len, self.log.partitions))

    def come(self) -> None:
        """A block comes from the log."""
        partition, offset = self.to_come.pop(0)
        block = self.log.partitions[partition][offset]
        job = self.jobs.get(block.job_id)
        assert job is not None
        lane = self.lanes.get(job.id, partition)
        if lane is None:
            lane = Lane(job.id, partition, PARTITIONS)
            self.lanes.put(lane)
        value = encode(block)
        self.room.met(len(value))
        known = self.lanes.may_work(job)
        lane.meet(Loaded(offset, block.block, value, block.first_row), self.room.of_new(job.id) if known else 0)
        self.refill.wake(partition)

    def look(self) -> None:
        """First rows are looked at, of two jobs at once."""
        due = [job for job in self.jobs.runnable() if job.inspection == "due"]
        for job in due:
            lane = self.lanes.get(job.id, JOB_STEP_PARTITION)
            if lane is not None and len(self.wanted) < 2 and job.id not in self.wanted:
                self.wanted.add(job.id)
                self.refill.job_changed(job.id)
            if job.id in self.wanted and lane is not None and lane.ready and self.chance.random() < 0.3:
                self.wanted.discard(job.id)
                self.change(job, inspection=None)

    def change(self, job: Job, **fields: Any) -> None:
        """The job has another state."""
        now = self.jobs.get(job.id)
        assert now is not None
        changed = replace(now, epoch=now.epoch + 1, command_offset=now.command_offset + 1, **fields)
        self.jobs.put(changed)
        for lane in self.lanes.of(job.id):
            if changed.state is not State.RUNNING:
                lane.unload()
        self.refill.job_changed(job.id)

    def pause_or_resume(self) -> None:
        """An operator stops a job, or has one go on."""
        if self.paused and self.chance.random() < 0.5:
            job = self.jobs.get(self.paused.pop(self.chance.randrange(len(self.paused))))
            assert job is not None
            self.change(job, state=State.RUNNING)
        elif running := self.jobs.runnable():
            job = self.chance.choice(running)
            self.wanted.discard(job.id)
            self.paused.append(job.id)
            self.change(job, state=State.PAUSED)

    def begin(self) -> None:
        """A batch is taken."""
        job, _ = self.scheduler.next(self.now)
        if job is None:
            return
        to_do = {lane: [offset for offset in lane.todo if offset not in lane.flying] for lane in self.lanes.of(job.id)}
        if taken := self.scheduler.take(job, self.now):
            self.in_flight.append((job, taken))
        for lane, waiting in to_do.items():
            offsets = [loaded.offset for other, loaded, _ in taken if other is lane]
            assert offsets == waiting[: len(offsets)]  # a lane goes forward in the log's order

    def end(self) -> None:
        """A batch has been applied, or not."""
        job, taken = self.in_flight.pop(0)
        if self.chance.random() < 0.1:
            put_back(taken)
        else:
            for lane, loaded, block in taken:
                lane.settle(loaded, Outcome(ROWS))
                self.settled[job.id, block.block] += 1
        now = self.jobs.get(job.id)
        for lane, _, _ in taken:
            if now is None or now.state is not State.RUNNING:
                lane.unload()
            self.refill.wake(lane.partition)

    def check(self, most: int) -> None:
        """Memory is as it is counted, and within its bound."""
        held = [len(lane.ready) + len(lane.flying) for lane in self.lanes]
        assert self.lanes.memory.blocks == sum(held)
        in_flight = sum(len(taken) for _, taken in self.in_flight)
        assert sum(held) <= most + in_flight + PARTITIONS * CHUNK_BLOCKS

    async def run(self, most: int, pauses: bool) -> None:
        """Until everything is applied."""
        tasks = [asyncio.create_task(self.refill.run(partition)) for partition in range(PARTITIONS)]
        for _ in range(MOST_STEPS):
            if sum(self.settled.values()) == self.blocks:
                break
            self.now += 0.5
            if self.room.scarce and self.room._questions > 0:
                self.room._questions = 10**9  # what moves and what changes is enough to go by
            if self.to_come:
                self.come()
            self.look()
            if pauses and self.chance.random() < 0.05:
                self.pause_or_resume()
            if not self.to_come and len(self.paused) == len(list(self.jobs)):
                self.pause_or_resume()
            if len(self.in_flight) < 3:
                self.begin()
            if self.in_flight and self.chance.random() < 0.5:
                self.end()
            await asyncio.sleep(0)
            self.check(most)
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.mark.parametrize("pauses", [False, True])
@pytest.mark.parametrize("most", [LEAST_ROOM, 30, 1000])
@pytest.mark.parametrize("seed", range(12))
def test_however_many_jobs_there_are_all_go_on_and_memory_has_a_bound(
    seed: int, most: int, pauses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_module, "ROOM_BLOCKS", most)
    monkeypatch.setattr(refill_module, "LOOK_SECONDS", None)  # nothing depends on it
    story = Story(seed)
    asyncio.run(story.run(most, pauses))
    assert len(story.settled) == story.blocks and set(story.settled.values()) <= {1}
    assert story.lanes.memory.blocks == 0
    if not pauses:
        assert story.log.read_again <= 3 * story.blocks
