"""What a worker writes when its partitions come and go, and what the next owner finds. Without servers."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from processor.errors import UnansweredError
from processor.stream.log_reader import RestoredPartitions, inheritance_of
from schemas.job import State
from schemas.messages.codec import encode
from schemas.messages.commands import (
    LanesRested,
)
from schemas.messages.lanes import LaneRecord, lane_key, owner_key
from tests.support.in_memory.control import world_in
from tests.support.in_memory.engine import SETTINGS, Steps, Worker, looked_at, raises, record, tell, turns, until


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
    """The next owner may have written a newer lane record. If this worker replaced it, the blocks that have come since
    would be lost."""

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
