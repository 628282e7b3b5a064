"""What a worker does when its partitions come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from confluent_kafka import KafkaException
from faust.types import TP

from control.jobtable import JobTable
from processor.app import WorkerApp
from processor.stream.lease import Lease
from runtime.settings import Settings
from schemas.job import Job, State
from schemas.messages.codec import encode
from schemas.messages.dead_letters import DeadLetter
from tests.support.waiting import PATIENCE

COMMANDS, ROWS = TP("sluice.commands", 0), TP("sluice.rows", 3)


class Parts:
    """A worker's engine, reporter and control agent, which note what is asked of them and wait for `go`."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.letters: list[DeadLetter] = []
        self.go = asyncio.Event()
        self.ready = asyncio.Event()

    def rebalancing(self) -> None: ...
    def recovered(self) -> None:
        self.done.append("recovered")

    def forget(self) -> None: ...
    async def skip(self, _: Any) -> None: ...
    async def bury(self, letters: list[DeadLetter]) -> None:
        self.letters += letters

    async def revoked(self, lost: bool = False, patience: float | None = None) -> None:
        self.done.append("lost" if lost else "revoked")

    async def assigned(self, partitions: list[int]) -> None:
        self.done.append(f"assigning {partitions}")
        await self.go.wait()
        self.done.append(f"assigned {partitions}")

    async def take_over(self, *_: int) -> None:
        self.done.append("take over")

    async def take(self, offset: int, *_: Any) -> None:
        await self.go.wait()
        self.done.append(f"command {offset}")

    async def settle(self) -> None:
        pass


Story = Callable[[Any, Parts], Coroutine[Any, Any, None]]


def tell(story: Story) -> None:
    """Run a story of a worker whose control table is empty."""

    async def run() -> None:
        parts: Any = Parts()
        worker: Any = WorkerApp(Settings(), JobTable(), parts, parts, Lease(10), parts.bury)
        worker.engine = parts
        consumer = worker.app.consumer

        async def highwaters(*tps: TP) -> dict[TP, int]:
            return dict.fromkeys(tps, 0)

        consumer.highwaters, consumer.assignment = highwaters, lambda: {COMMANDS, ROWS}
        try:
            await asyncio.wait_for(story(worker, parts), PATIENCE)
        finally:
            consumer._thread.thread_loop.close()

    asyncio.run(run())


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def command(worker: Any, offset: int) -> Any:
    """Have the control agent carry out the command at `offset`; answers the task."""
    message = type("Message", (), {"offset": offset, "timestamp": 1.0, "key": b"j", "value": b"", "tp": COMMANDS})()
    message.headers = None
    message.generation_id = worker.app.consumer_generation_id
    event = type("Event", (), {"message": message})()
    return asyncio.create_task(worker._on_command(event, type("Acknowledgement", (), {"ack": lambda self: True})()))


def test_a_worker_is_heard_of_while_it_reads_its_lanes() -> None:
    async def story(worker: Any, parts: Parts) -> None:
        await asyncio.wait_for(worker._on_assigned(None, {COMMANDS, ROWS}), PATIENCE)
        await turns()
        assert parts.done[-1] == "assigning [3]"
        await worker._on_revoked(None, {COMMANDS, ROWS})
        parts.go.set()
        await turns()
        assert "assigned [3]" not in parts.done, "they are another worker's by now"

    tell(story)


def test_nothing_begins_between_a_revocation_and_the_next_assignment() -> None:
    async def story(worker: Any, parts: Parts) -> None:
        await worker._on_assigned(None, {COMMANDS, ROWS})
        await worker._on_revoked(None, {COMMANDS, ROWS})
        await worker._on_recovered(None)  # of the assignment that is gone
        await turns()
        assert "take over" not in parts.done and not worker._table_read.is_set()
        await worker._on_assigned(None, {COMMANDS, ROWS})
        await worker._on_recovered(None)
        await turns()
        assert parts.done[-1] == "take over" and worker._table_read.is_set()

    tell(story)


@pytest.mark.parametrize("next_step", ["revoked", "recovered"])
def test_the_command_in_hand_is_carried_out_before_anyone_carries_out_another(next_step: str) -> None:
    async def story(worker: Any, parts: Parts) -> None:
        worker._held.set()
        carried_out = command(worker, 7)
        await turns()
        if next_step == "revoked":
            step = asyncio.create_task(worker._on_revoked(None, {COMMANDS}))
        else:
            await worker._on_recovered(None)
            step = worker._catching_up
        await turns()
        assert not step.done() and "take over" not in parts.done
        parts.go.set()
        await carried_out
        await step
        assert "command 7" in parts.done

    tell(story)


@pytest.mark.parametrize("assigned", [{COMMANDS, ROWS}, {ROWS}], ids=["the owner of the commands", "another worker"])
def test_a_state_that_cannot_be_read_is_buried_by_the_owner_of_the_commands(assigned: set[TP]) -> None:
    async def story(worker: Any, parts: Parts) -> None:
        worker.app.consumer.assignment = lambda: assigned
        place = {"topic": "sluice.jobs", "partition": 0, "key": b"j"}
        for offset, value in enumerate((b"{", b"[" * 10_000)):
            message = type("Message", (), {**place, "offset": offset, "value": value})()
            await worker._on_job_record(type("Event", (), {"message": message})())
        await worker._on_assigned(None, assigned)
        await worker._on_recovered(None)
        await turns()
        assert worker._table_read.is_set(), "the rest of the table is read all the same"
        places = [headers["offset"] for _, _, headers in parts.letters]
        assert places == (["0", "1"] if COMMANDS in assigned else [])
        assert all(headers["topic"] == "sluice.jobs" and headers["reason"] for _, _, headers in parts.letters)

    tell(story)


def state(job_id: str, offset: int) -> bytes:
    return encode(
        Job(
            id=job_id, operation="upload", dataset="people", organisation="acme", created_by="ada",
            state=State.COMPLETED, created_at=1, command_offset=offset, partitions=1,
        )
    )  # fmt: skip


@pytest.mark.parametrize("error", [None, KafkaException("no answer")], ids=["to its end", "Kafka goes away"])
def test_faust_reads_on_where_the_reading_ahead_has_stopped(
    monkeypatch: pytest.MonkeyPatch, error: KafkaException | None
) -> None:
    records = [(3, b"a", state("a", 1)), (4, b"b", b"{"), (6, b"b", state("b", 2)), (7, b"a", state("a", 3))]

    def read(_: Settings, take: Any, stopping: Callable[[], bool]) -> None:
        for record in records:
            take(*record)
        if error is not None:
            raise error

    monkeypatch.setattr("processor.app.read_ahead", read)

    async def story(worker: Any, parts: Parts) -> None:
        table, place = worker.app.tables["jobs"], TP("sluice.jobs", 0)
        assert table.persisted_offset(place) is None, "Faust begins at the earliest record"
        worker.read_ahead(lambda: False)
        assert {job.id: job.command_offset for job in worker._jobs} == {"a": 3, "b": 2}
        assert table.persisted_offset(place) == 7
        message = type("Message", (), {"key": b"c", "offset": 9, "value": state("c", 4)})()
        event = type("Event", (), {"message": message})()
        await worker._on_job_record(event)
        table.apply_changelog_batch([event])
        assert table.persisted_offset(place) == 9 and not table.data.data, "Faust keeps no second copy"
        await worker._on_assigned(None, {COMMANDS, ROWS})
        await worker._on_recovered(None)
        await turns()
        assert [headers["offset"] for _, _, headers in parts.letters] == ["4"]
        assert worker._jobs.get("c") is not None

    tell(story)
