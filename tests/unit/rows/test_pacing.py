"""When requests are let out: the last slot only shortly before the oldest answer is due."""

from __future__ import annotations

import asyncio
import math

import pytest

from processor.elastic.pacing import LEAD_SECONDS, MOST_PASSED, OWNERS, READ_SECONDS, Pace

READS = (False, False)
WRITES_LITTLE = (True, True)


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Server:
    """Requests that are answered when the test says so."""

    def __init__(self, in_flight: int) -> None:
        self.clock = Clock()
        self.pace = Pace(in_flight, self.clock)
        self.sent: list[str] = []
        self._answers: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, *kind: bool, owner: str = "") -> None:
        """Begin a request; it goes out as soon as it may."""
        self._answers[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._request(name, owner, *kind))
        await settle()

    async def give_up(self, name: str) -> None:
        """Cancel a request that waits or is under way."""
        self._tasks[name].cancel()
        await settle()

    async def answer(self, name: str, after: float = 0.0) -> None:
        """Answer it, so many seconds later than now."""
        self.clock.now += after
        self._answers[name].set()
        await self._tasks[name]
        await settle()

    async def _request(self, name: str, owner: str, *kind: bool) -> None:
        async with self.pace.slot(*kind, owner=owner):
            self.sent.append(name)
            await self._answers[name].wait()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def taught(in_flight: int, seconds: float = 10.0) -> Server:
    """A server that is known to take so long for a request."""
    server = Server(in_flight)
    await server.ask("first")
    await server.answer("first", seconds)
    server.sent.clear()
    return server


def test_of_two_the_second_waits_until_the_first_is_due() -> None:
    async def story() -> None:
        server = await taught(2)
        await server.ask("a")
        await server.ask("b")
        assert server.sent == ["a"]
        assert server.pace.wait_seconds() == pytest.approx(10.0 - LEAD_SECONDS)
        server.clock.now += 10.0
        assert server.pace.wait_seconds() <= 0

    asyncio.run(story())


def test_an_answer_that_comes_early_lets_the_next_out_at_once_and_in_order() -> None:
    async def story() -> None:
        server = await taught(2)
        for name in "abc":
            await server.ask(name)
        await server.answer("a", 1.0)
        assert server.sent == ["a", "b"]
        await server.answer("b", 1.0)
        assert server.sent == ["a", "b", "c"]

    asyncio.run(story())


def test_what_had_to_wait_for_another_is_due_a_whole_time_after_that_one() -> None:
    async def story() -> None:
        server = await taught(2)
        await server.ask("a")
        server.clock.now += 10.0
        await server.ask("b")
        assert server.sent == ["a", "b"]
        await server.ask("c")
        assert math.isinf(server.pace.wait_seconds())
        await server.answer("a")
        assert server.sent == ["a", "b"]
        assert server.pace.wait_seconds() == pytest.approx(10.0 - LEAD_SECONDS)

    asyncio.run(story())


def test_where_nothing_is_known_yet_all_slots_are_open() -> None:
    async def story() -> None:
        server = Server(2)
        for name in "abc":
            await server.ask(name)
        assert server.sent == ["a", "b"]

    asyncio.run(story())


def test_with_many_slots_only_the_last_is_held_back() -> None:
    async def story() -> None:
        server = await taught(4)
        for name in "abcde":
            await server.ask(name)
        assert server.sent == ["a", "b", "c"]

    asyncio.run(story())


def test_one_slot_is_one_request_after_the_other() -> None:
    async def story() -> None:
        server = await taught(1)
        await server.ask("a")
        await server.ask("b")
        assert server.sent == ["a"]
        await server.answer("a", 1.0)
        assert server.sent == ["a", "b"]

    asyncio.run(story())


def test_a_single_request_that_takes_long_changes_little() -> None:
    async def story() -> None:
        server = await taught(2, seconds=1.0)
        for number, seconds in enumerate((1.0, 1.0, 60.0)):
            await server.ask(f"r{number}")
            await server.answer(f"r{number}", seconds)
        await server.ask("a")
        assert server.pace.wait_seconds() == pytest.approx(1.0 - LEAD_SECONDS)

    asyncio.run(story())


def test_a_request_that_fails_gives_its_slot_back() -> None:
    async def story() -> None:
        server = await taught(2)
        with pytest.raises(RuntimeError):
            async with server.pace.slot():
                raise RuntimeError
        await server.ask("a")
        assert server.sent == ["a"]

    asyncio.run(story())


def test_a_job_that_comes_back_does_not_wait_for_all_that_another_has_ready() -> None:
    async def story() -> None:
        server = await taught(1)
        for name in ("big 1", "big 2", "big 3", "big 4"):
            await server.ask(name, owner="big")
        await server.ask("resumed 1", owner="resumed")
        await server.ask("resumed 2", owner="resumed")
        for _ in range(6):
            await server.answer(server.sent[-1], 1.0)
        assert server.sent == ["big 1", "resumed 1", "big 2", "resumed 2", "big 3", "big 4"]

    asyncio.run(story())


def test_a_request_is_not_passed_by_any_number_of_new_jobs() -> None:
    async def story() -> None:
        server = await taught(1)
        await server.ask("big 1", owner="big")
        await server.ask("big 2", owner="big")
        for number in range(10):
            await server.ask(f"small {number}", owner=f"small {number}")
        while "big 2" not in server.sent:
            await server.answer(server.sent[-1], 1.0)
        assert server.sent == ["big 1", *(f"small {number}" for number in range(MOST_PASSED)), "big 2"]

    asyncio.run(story())


def test_a_request_that_is_given_up_while_it_waits_holds_up_nobody() -> None:
    async def story() -> None:
        server = await taught(1)
        for name in ("big 1", "big 2", "big 3"):
            await server.ask(name, owner="big")
        await server.ask("other", owner="other")
        await server.give_up("other")
        await server.give_up("big 2")
        await server.answer("big 1", 1.0)
        assert server.sent == ["big 1", "big 3"]

    asyncio.run(story())


def test_owners_without_number_are_forgotten() -> None:
    async def story() -> None:
        server = await taught(1)
        for number in range(3 * OWNERS):
            await server.ask(f"job {number}", owner=f"job {number}")
            await server.answer(f"job {number}", 1.0)
        assert len(server.pace._served) == OWNERS

    asyncio.run(story())


def test_a_read_that_is_not_answered_leaves_its_slot_to_others() -> None:
    """Of an index whose shard is away, say: the reads of all other jobs would wait for it for 20 s."""

    async def run() -> None:
        server = Server(2)
        for name in ("silent", "silent too", "third", "fourth"):
            await server.ask(name, *READS)
        assert server.sent == ["silent", "silent too"]
        server.clock.now += READ_SECONDS
        await server.answer("silent")  # has those that wait look again; the other one is not answered
        assert server.sent == ["silent", "silent too", "third", "fourth"]
        await server.ask("fifth", *READS)
        assert "fifth" not in server.sent, "what waits for an answer for less time keeps its slot"
        await server.answer("third")
        assert server.sent[-1] == "fifth"
        for name in ("silent too", "fourth", "fifth"):
            await server.answer(name)
        assert not server.pace._reads

    asyncio.run(run())


def test_a_read_does_not_wait_longer_than_for_the_slot_that_is_given_up_first() -> None:
    pace, clock = Server(2), Clock()
    pace.pace = Pace(2, clock)

    async def run() -> None:
        await pace.ask("first", *READS)
        clock.now += 0.5
        await pace.ask("second", *READS)
        assert pace.pace._read_wait() == pytest.approx(READ_SECONDS - 0.5)
        await pace.ask("third", *READS)
        await pace.give_up("third")
        clock.now += READ_SECONDS - 0.5
        assert pace.pace._read_wait() == 0
        await pace.ask("fourth", *READS)
        assert pace.sent == ["first", "second", "fourth"]
        for name in pace.sent:
            await pace.answer(name)

    asyncio.run(run())


def test_reads_and_large_writes_do_not_wait_for_each_other() -> None:
    async def story() -> None:
        server = await taught(2)
        await server.ask("a write")
        for name in ("a read", "another read", "a third"):
            await server.ask(name, *READS)
        assert server.sent == ["a write", "a read", "another read"]
        await server.answer("a read", 1.0)
        assert server.sent[-1] == "a third"
        await server.answer("a write", 1.0)
        await server.ask("another write")
        assert server.sent[-1] == "another write"

    asyncio.run(story())


def test_what_writes_little_waits_for_nothing() -> None:
    async def story() -> None:
        server = await taught(2)
        for number in range(2):
            await server.ask(f"write {number}")
            await server.ask(f"read {number}", *READS)
        server.sent.clear()
        for number in range(3):
            await server.ask(f"note {number}", *WRITES_LITTLE)
        assert server.sent == ["note 0", "note 1", "note 2"]

    asyncio.run(story())


@pytest.mark.parametrize("kind", [READS, WRITES_LITTLE])
def test_how_long_other_requests_take_says_nothing_of_large_ones(kind: tuple[bool, bool]) -> None:
    async def story() -> None:
        server = await taught(2, seconds=1.0)
        for number in range(9):
            await server.ask(f"request {number}", *kind)
            await server.answer(f"request {number}", 60.0)
        await server.ask("a write")
        assert server.pace.wait_seconds() == pytest.approx(1.0 - LEAD_SECONDS)

    asyncio.run(story())
