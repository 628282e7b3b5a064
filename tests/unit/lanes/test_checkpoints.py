"""What a checkpoint looks at: the jobs of which the control agent still waits for something, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from control.jobtable import JobTable
from control.predicates import quiescing
from processor.lanes.checkpoints import PROGRESS_SECONDS, Checkpoints, Record
from processor.lanes.lane import Lane
from processor.lanes.owned_lanes import Lanes
from processor.stream.lease import Lease
from runtime.clock import Clock
from schemas.job import Job, LaneTotals, Options, RestedLane, State
from schemas.messages.codec import decode
from schemas.messages.commands import Command, LanesCounted, LanesRested

OWNED = (0, 1)


class Kafka:
    def __init__(self) -> None:
        self.reports: list[LanesRested] = []
        self.counts: list[LanesCounted] = []

    async def publish_all(self, records: Iterable[Record]) -> None:
        for topic, _key, value, _partition in records:
            if topic != "reports":
                continue
            report: Command = decode(value or b"", Command)
            assert isinstance(report, LanesRested | LanesCounted)
            if isinstance(report, LanesRested):
                self.reports.append(report)
            else:
                self.counts.append(report)


class Looks(JobTable):
    """A table that counts how many jobs are looked up."""

    looks = 0

    def get(self, job_id: str) -> Job | None:
        self.looks += 1
        return super().get(job_id)


class Worker:
    def __init__(self) -> None:
        self.jobs, self.lanes, self.kafka = Looks(), Lanes(), Kafka()
        self.lanes.inherit(OWNED, {}, ())
        self.seconds = 0.0
        clock = Clock(monotonic=lambda: self.seconds)
        lease: Lease = type("Held", (), {"require": lambda _: None})()
        self.checkpoints = Checkpoints(self.jobs, self.lanes, self.kafka, clock, lease)  # type: ignore[arg-type]

    def take(self, job: Job) -> None:
        self.jobs.put(job)
        self.checkpoints.job_changed(job)

    def flush(self) -> int:
        """Write a checkpoint; answers how many jobs were looked up."""
        before = self.jobs.looks
        asyncio.run(self.checkpoints.flush())
        return self.jobs.looks - before


def job(state: State, name: str = "j", rested: Iterable[int] = (), offset: int = 1) -> Job:
    return Job(
        id=name, operation="upload", dataset="people", organisation="acme", created_by="x", state=state, created_at=1,
        command_offset=offset, partitions=3, epoch=3, phase="undo" if "ROLL" in state else "apply",
        lanes_rested={number: RestedLane(epoch=3, totals=LaneTotals()) for number in rested},
    )  # fmt: skip


@pytest.mark.parametrize("state", State)
def test_a_job_of_which_nothing_is_awaited_from_this_worker_costs_a_checkpoint_nothing(state: State) -> None:
    """There is no limit to the jobs that have failed, and they stay for any time."""
    worker = Worker()
    for number in range(50):
        known = job(state, f"j{number}", offset=number)
        worker.take(known)
        worker.flush()
        worker.take(replace(known, lanes_rested=job(state, rested=OWNED).lanes_rested, command_offset=100 + number))
    worker.flush()
    assert len(worker.kafka.reports) == (50 if quiescing(job(state)) else 0)
    assert worker.flush() == 0


def test_a_failed_job_is_proved_to_have_stopped_by_the_next_owner_of_a_partition_as_well() -> None:
    worker = Worker()
    failed = job(State.FAILED, rested=[0])
    worker.take(failed)
    worker.flush()
    worker.flush()
    assert [set(report.lanes) for report in worker.kafka.reports] == [{1}], "once, as long as it is not known"
    worker.take(job(State.FAILED, rested=[0, 1], offset=2))
    worker.flush()
    assert worker.flush() == 0
    worker.checkpoints.forget()
    worker.lanes.clear()
    worker.lanes.inherit((2,), {}, ())
    worker.checkpoints.job_changed(job(State.FAILED, rested=[0, 1], offset=2))
    worker.flush()
    assert set(worker.kafka.reports[-1].lanes) == {2}


def test_a_job_that_fails_again_is_proved_again() -> None:
    worker = Worker()
    worker.take(job(State.FAILED, rested=[0, 1]))
    worker.flush()
    worker.take(replace(job(State.FAILED, offset=2), epoch=5))
    worker.flush()
    assert [report.epoch for report in worker.kafka.reports] == [5]


@pytest.mark.parametrize("state", [State.RUNNING, State.FAILED, State.PAUSED])
def test_a_job_with_a_limit_of_errors_costs_a_checkpoint_nothing_once_its_counts_are_reported(state: State) -> None:
    worker = Worker()
    for number in range(50):
        known = job(state, f"j{number}", rested=OWNED, offset=number)
        known = replace(known, options=Options(max_errors=10), budget="open")
        lane = Lane(known.id, 0, 3)
        lane.totals = LaneTotals(rows_applied=5, rows_failed=1, blocks=1)
        worker.lanes.put(lane)
        worker.take(known)
        worker.checkpoints.touch(lane)
    worker.flush()
    worker.seconds += PROGRESS_SECONDS
    worker.flush()
    assert len(worker.kafka.counts) == 50
    assert worker.flush() == 0
