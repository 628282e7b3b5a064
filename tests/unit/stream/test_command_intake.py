"""Commands that wait while others are written are written together, and acknowledged only then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from control.agent import START_JOBS, ControlAgent
from control.errors import UnwrittenError
from control.jobtable import JobTable
from control.outbox import Written
from processor.stream.command_intake import MOST_TAKEN, CommandIntake
from schemas.job import State
from schemas.messages.codec import encode
from tests.support.in_memory.control import CATALOG, PARTITIONS, at, upload, world_in

JOBS = ("a", "b", "c", "d")


class Acknowledgement:
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
        self.fails = False
        self.jobs = JobTable()
        self.agent = ControlAgent(self.jobs, CATALOG, PARTITIONS, self._publish)
        self.intake = CommandIntake(self.agent, lambda _: None)

    async def _publish(self, records: Sequence[Written]) -> None:
        await self.go.wait()
        if self.fails:
            raise KafkaError
        self.told.append(f"{records[0].topic} {' '.join(record.key.decode() for record in records)}")

    async def take(self, offset: int) -> None:
        command = encode(replace(upload(JOBS[offset]), organisation=JOBS[offset]))
        await self.intake.take(offset, at(offset), b"?", command, (), Acknowledgement(self.told, offset))


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
        await slow.intake.skip(Acknowledgement(slow.told, 9))
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


def test_nothing_is_written_or_acknowledged_behind_a_command_that_could_not_be_written() -> None:
    """Not by those who wait meanwhile either: a later offset in a state would hide the command for good."""

    async def story() -> None:
        slow = Slow()
        slow.fails = True
        running = asyncio.create_task(slow.intake.run())
        await slow.take(0)
        await turns()
        await slow.take(1)
        releasing = asyncio.create_task(slow.intake.release(lost=False))
        await turns()
        slow.go.set()
        with pytest.raises(KafkaError):
            await running
        slow.fails = False
        await releasing
        assert slow.told == [] and len(slow.jobs) == 0
        await slow.intake.take_over(at(1), 2)
        for offset in (0, 1):
            await slow.take(offset)
        await slow.intake.settle()
        assert [job.id for job in slow.jobs] == ["a", "b"] and slow.told[-2:] == ["ack 0", "ack 1"]

    asyncio.run(story())


def test_until_it_is_told_that_the_commands_are_its_own_again_an_agent_takes_none_behind_a_failure() -> None:
    async def story() -> None:
        slow = Slow()
        slow.fails = True
        slow.go.set()
        await slow.take(0)
        with pytest.raises(KafkaError):
            await slow.intake.settle()
        with pytest.raises(UnwrittenError):
            await slow.take(1)

    asyncio.run(story())


def test_what_a_takeover_that_was_broken_off_has_decided_is_decided_anew() -> None:
    async def story() -> None:
        slow = Slow()
        slow.jobs.put(world_in(State.QUEUED).job())
        first = asyncio.create_task(slow.intake.take_over(at(5), 5))
        await turns()
        first.cancel()
        await slow.intake.release(lost=False)
        slow.go.set()
        await slow.intake.take_over(at(6), 6)
        assert [job.state for job in slow.jobs] == [State.RUNNING] and f"jobs {slow.told[-1].split()[1]}" == slow.told[
            -1
        ]

    asyncio.run(story())


def queue_up(slow: Slow, count: int) -> None:
    """Put `count` queued jobs into the table, none of which is in the way of another one."""
    waiting = replace(world_in(State.QUEUED).job(), exclusive_key=None)
    for number in range(count):
        slow.jobs.put(replace(waiting, id=f"queued{number}"))


def begun(slow: Slow) -> int:
    return sum(job.state is State.RUNNING for job in slow.jobs)


def test_queued_jobs_whose_turn_has_come_begin_though_no_command_comes() -> None:
    async def story() -> None:
        slow = Slow()
        slow.go.set()
        queue_up(slow, 3 * START_JOBS)
        running = asyncio.create_task(slow.intake.run())
        async with slow.intake.commanding:
            await slow.intake.take_over(at(5), 5)
            await turns()
            assert begun(slow) == START_JOBS, "one after the other"
        for _ in range(5):
            await turns()
        assert begun(slow) == 3 * START_JOBS and not slow.agent.has_turns_left
        running.cancel()

    asyncio.run(story())


def test_no_further_job_begins_once_the_commands_may_be_another_workers() -> None:
    async def story() -> None:
        slow = Slow()
        slow.go.set()
        queue_up(slow, 3 * START_JOBS)
        await slow.intake.take_over(at(5), 5)
        assert slow.agent.has_turns_left
        await slow.intake.release(lost=False)
        running = asyncio.create_task(slow.intake.run())
        await turns()
        assert begun(slow) == START_JOBS
        running.cancel()

    asyncio.run(story())


def test_no_more_commands_are_taken_while_very_many_wait_to_be_written() -> None:
    async def story() -> None:
        slow = Slow()
        for number in range(MOST_TAKEN):
            await slow.intake.skip(Acknowledgement(slow.told, number))
        late = asyncio.create_task(slow.take(0))
        await turns()
        assert not late.done() and len(slow.agent._outbox.states) == 0
        slow.go.set()
        await slow.intake.settle()
        await late
        await slow.intake.settle()
        assert len(slow.jobs) == 1
        for number in range(MOST_TAKEN):
            await slow.intake.skip(Acknowledgement(slow.told, number))
        late = asyncio.create_task(slow.take(1))
        await turns()
        await slow.intake.release(lost=True)
        await late
        assert len(slow.jobs) == 1 and not slow.agent._outbox.states, "it is another worker's"

    asyncio.run(story())
