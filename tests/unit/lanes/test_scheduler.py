"""Which blocks go into the next request: turns of jobs, rates, and blocks that can't be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from processor.lanes.lane import Loaded
from processor.lanes.refill import Refill
from processor.lanes.room import Room
from processor.lanes.scheduler import Scheduler, put_back
from runtime.files.sealing import seal
from runtime.settings import Settings
from schemas.job import Input, State
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import encode
from schemas.policies.quotas import QuotaBook
from tests.support.stubs.bulk import Worker

ROWS = 100


def test_jobs_take_turns_and_lanes_of_a_job_do_as_well() -> None:
    worker = Worker()
    worker.add("a", 6)
    worker.add("b", 6)
    assert [worker.turn() for _ in range(5)] == [
        ("a", [0, 1, 2]), ("b", [0, 1, 2]), ("a", [4, 3, 5]), ("b", [4, 3, 5]), None,
    ]  # fmt: skip


def test_a_job_with_a_rate_waits_for_its_rows_and_holds_nobody_up() -> None:
    worker = Worker()
    worker.add("slow", 4, rate=100)
    worker.add("other", 3)
    assert [worker.turn(), worker.turn()] == [("other", [0, 1, 2]), ("slow", [0, 1])]
    worker.add("later", 2)
    assert [worker.turn(), worker.turn()] == [("later", [0, 1]), None]
    job, pause = worker.scheduler.next(0.0)
    assert job is None and pause == pytest.approx(2.0, abs=0.1)  # 200 rows at 100 a second
    assert worker.turn(2.5) == ("slow", [2, 3])


def test_what_was_not_applied_is_taken_again_in_its_order() -> None:
    worker = Worker()
    worker.add("a", 4)
    job, _ = worker.scheduler.next(0.0)
    assert job is not None
    put_back(worker.scheduler.take(job, 0.0))
    worker.jobs.put(replace(job, command_offset=job.command_offset + 1, input=Input(blocks=4, ended=True)))
    assert [worker.turn(), worker.turn()] == [("a", [0, 1, 2]), ("a", [3])]


def test_few_blocks_wait_for_more_as_long_as_a_request_of_their_job_is_under_way() -> None:
    worker = Worker()
    worker.add("trickles", 1)
    job, _ = worker.scheduler.next(0.0)
    assert job is not None
    first = worker.scheduler.take(job, 0.0)
    worker.meet("trickles", 1)
    worker.add("other", 1)
    assert [worker.turn(), worker.turn()] == [("other", [0]), None], "other jobs do not wait for it"
    put_back(first)
    assert worker.turn() == ("trickles", [0, 1])


def test_blocks_that_fill_a_request_do_not_wait() -> None:
    worker = Worker()
    worker.add("a", 1)
    assert worker.turn() == ("a", [0])
    for block in range(1, 4):
        assert worker.turn() is None
        worker.meet("a", block)
    assert worker.turn() == ("a", [2, 1, 3])


def test_long_rows_that_fill_a_request_by_their_bytes_do_not_wait() -> None:
    worker = Worker(bulk_rows=4000, bulk_bytes=100_000)
    worker.add("a", 0)
    for block in range(2):
        worker.meet("a", block, "long" * 200)
    assert worker.turn() == ("a", [0, 1])
    worker.meet("a", 2, "long" * 200)
    assert worker.turn() is None, "half a request"
    worker.meet("a", 3, "long" * 200)
    assert worker.turn() == ("a", [2, 3])


def test_the_last_blocks_of_a_job_do_not_wait() -> None:
    worker = Worker()
    worker.add("a", 4)
    job = worker.jobs.get("a")
    assert job is not None and worker.turn() == ("a", [0, 1, 2])
    assert worker.turn() is None
    worker.jobs.put(replace(job, command_offset=job.command_offset + 1, input=Input(blocks=4, ended=True)))
    assert worker.turn() == ("a", [3])


def test_a_block_that_cannot_be_read_is_told_and_stays() -> None:
    worker = Worker()
    worker.add("a", 0)
    lane = worker.lanes.get("a", 0)
    assert lane is not None
    lane.meet(Loaded(7, 0, b"{"), 100)
    assert worker.turn() == ("a", [])
    assert "block 0 at offset 7 can't be read" in worker.broken[0]
    assert 7 in lane.todo


def test_a_lane_that_cannot_be_read_has_no_turn_until_its_job_was_resumed() -> None:
    worker = Worker()
    worker.add("a", 0)
    worker.add("b", 2)
    lane, job = worker.lanes.get("a", 0), worker.jobs.get("a")
    assert lane is not None and job is not None
    lane.meet(Loaded(7, 0, b"{"), 100)
    assert [worker.turn() for _ in range(3)] == [("a", []), ("b", [0, 1]), None]
    assert len(worker.broken) == 1
    worker.jobs.put(replace(job, epoch=job.epoch + 1, command_offset=9))
    assert worker.turn() == ("a", [])


def test_a_rate_is_shared_among_the_partitions_that_the_job_has() -> None:
    """The topic may have more by now: a worker that owns all of them must not take a multiple of the rate."""
    worker = Worker()
    worker.add("a", 4, rate=100)
    job = worker.jobs.get("a")
    assert job is not None
    worker.lanes.owned = frozenset(range(4 * job.partitions))
    worker.scheduler.set_rate(job)
    assert worker.scheduler._buckets["a"].rate == 100


@pytest.mark.parametrize(("mode", "blocks"), [(None, [0, 1, 2, 3]), ("upsert", [0, 1])])
def test_a_batch_has_half_as_many_rows_where_each_takes_more_than_an_insertion(mode: Any, blocks: list[int]) -> None:
    worker = Worker(bulk_rows=4 * ROWS)
    worker.add("a", 6)
    job = worker.jobs.get("a")
    assert job is not None
    worker.jobs.put(replace(job, mode=mode, command_offset=9))
    assert worker.turn() == ("a", blocks)
    assert worker.scheduler._most_rows(replace(job, phase="undo")) == 2 * ROWS


def test_a_batch_is_as_long_as_its_rows_are_once_they_are_unsealed() -> None:
    worker = Worker(bulk_rows=10**6)
    worker.add("a", 0)
    lane, key = worker.lanes.get("a", 0), bytes(32)
    assert lane is not None
    worker.scheduler = Scheduler(
        Settings(bulk_rows=10**6, bulk_bytes=10**6),
        QuotaBook(),
        worker.jobs,
        worker.lanes,
        lambda _: None,
        lambda *_: None,
        lambda _: key,
    )
    for number in range(20):
        block = RowBlock(job_id="a", block=number, first_row=number + 1, columns=["a"], rows=[["x" * 200_000]])
        value = encode(seal(block, key))
        assert len(value) < 10_000, "it compresses well"
        lane.meet(Loaded(number, number, value), 100)
    job, _ = worker.scheduler.next(0.0)
    assert job is not None
    assert len(worker.scheduler.take(job, 0.0)) == 5


class Counted(dict[str, Any]):
    """Lanes by job, and how many jobs were looked at."""

    looks = 0

    def get(self, key: str, default: Any = None) -> Any:
        self.looks += 1
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.looks += 1
        return super().__getitem__(key)

    def __iter__(self) -> Iterator[str]:
        for key in super().__iter__():
            self.looks += 1
            yield key

    def items(self) -> Any:
        return [(key, self[key]) for key in list(super().__iter__())]

    def values(self) -> Any:
        return [self[key] for key in list(super().__iter__())]


@pytest.mark.parametrize("state", [State.FAILED, State.PAUSED])
def test_jobs_that_cannot_go_on_cost_a_batch_nothing(state: State) -> None:
    """They keep their lanes for any time, and there is no limit to those that have failed."""

    def looks(others: int) -> int:
        worker = Worker()
        worker.add("running", 6)
        for number in range(others):
            worker.add(f"other{number}", 1)
            job = worker.jobs.get(f"other{number}")
            assert job is not None
            worker.jobs.put(replace(job, state=state, epoch=job.epoch + 1))
        parked = worker.lanes.get("running", 0)
        assert parked is not None
        parked.meet(Loaded(100, 100, b""), 0)
        reader: Any = None
        room = Room(worker.jobs, worker.lanes, 16, lambda: worker.scheduler.order(0.0))
        refill = Refill(worker.jobs, worker.lanes, reader, room, lambda: None, lambda *_: None)
        counted = worker.lanes.by_job = Counted(worker.lanes.by_job)
        assert worker.turn() == ("running", [0, 1, 2])
        assert refill._next_starved(0) == [parked]
        return counted.looks

    assert looks(0) == looks(10) == looks(1000)
