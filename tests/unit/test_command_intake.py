"""Commands that wait while others are written are written together, and acknowledged only then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from control.agent import ControlAgent
from control.jobtable import JobTable
from control.outbox import Written
from processor.stream.command_intake import CommandIntake
from schemas.messages.codec import encode
from tests.control_world import CATALOG, PARTITIONS, at, upload

JOBS = ("a", "b", "c", "d")


class Receipt:
    """The acknowledgement of a command, noted in a list."""

    def __init__(self, told: list[str], offset: int) -> None:
        self._told, self._offset = told, offset

    def ack(self) -> bool:
        self._told.append(f"ack {self._offset}")
        return True


class Slow:
    """A control agent whose Kafka answers when it is told to."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.go = asyncio.Event()
        self.jobs = JobTable()
        self.agent = ControlAgent(self.jobs, CATALOG, PARTITIONS, self._publish)
        self.intake = CommandIntake(self.agent, lambda _: None)

    async def _publish(self, records: Sequence[Written]) -> None:
        await self.go.wait()
        self.told.append(f"{records[0].topic} {' '.join(record.key.decode() for record in records)}")

    async def take(self, offset: int) -> None:
        command = encode(replace(upload(JOBS[offset]), organisation=JOBS[offset]))
        await self.intake.take(offset, at(offset), b"?", command, (), Receipt(self.told, offset))


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_waits_meanwhile_is_written_together_and_acknowledged_in_order() -> None:
    async def story() -> None:
        slow = Slow()
        running = asyncio.create_task(slow.intake.run())
        await slow.take(0)
        await turns()
        await slow.take(1)
        await slow.intake.skip(Receipt(slow.told, 9))
        await slow.take(2)
        await turns()
        assert slow.told == [] and len(slow.jobs) == 0, "nothing shows of a state that Kafka does not have"
        slow.go.set()
        await turns()
        running.cancel()
        assert slow.told == [
            "job-events a a", "plans a", "jobs a", "ack 0", "job-events b b c c", "plans b c", "jobs b c", "ack 1",
            "ack 9", "ack 2",
        ]  # fmt: skip
        assert [job.id for job in slow.jobs] == ["a", "b", "c"]

    asyncio.run(story())


def test_a_worker_that_has_lost_the_commands_writes_none_of_those_that_wait() -> None:
    async def story() -> None:
        slow = Slow()
        slow.go.set()
        await slow.take(0)
        await slow.intake.release(lost=True)
        assert slow.told == [] and len(slow.jobs) == 0
        await slow.agent.take_over(at(0), 1)
        await slow.take(0)
        await slow.intake.release(lost=False)
        assert slow.told[-1] == "ack 0" and len(slow.jobs) == 1

    asyncio.run(story())
