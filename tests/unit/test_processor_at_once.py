"""A coroutine that is run up to its first wait ends as it would have in a task."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from processor.stream.at_once import Ended, run_at_once


async def outcome(started: Coroutine[Any, Any, Any]) -> Any:
    begun = run_at_once(started)
    return begun.result if isinstance(begun, Ended) else await asyncio.create_task(begun)


def test_what_never_waits_has_ended() -> None:
    async def scenario() -> None:
        async def works() -> int:
            return 3

        assert run_at_once(works()) == Ended(3)

    asyncio.run(scenario())


def test_what_waits_goes_on_where_it_was() -> None:
    async def scenario() -> None:
        released, seen = asyncio.Event(), []

        async def works() -> str:
            seen.append("begun")
            await released.wait()
            await asyncio.sleep(0)
            async with asyncio.Lock():
                seen.append("released")
            return "done"

        begun = run_at_once(works())
        assert seen == ["begun"]
        assert not isinstance(begun, Ended)
        task = asyncio.create_task(begun)
        await asyncio.sleep(0)
        assert seen == ["begun"]
        released.set()
        assert await task == "done"
        assert seen == ["begun", "released"]

    asyncio.run(scenario())


def test_errors_are_raised_before_and_behind_the_first_wait() -> None:
    async def scenario() -> None:
        async def fails(waits: bool) -> None:
            if waits:
                await asyncio.sleep(0)
            raise KeyError("lost")

        for waits in (False, True):
            with pytest.raises(KeyError, match="lost"):
                await outcome(fails(waits))

    asyncio.run(scenario())


def test_a_cancelled_one_cleans_up() -> None:
    async def scenario() -> None:
        cleaned = []

        async def works() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.append(True)

        begun = run_at_once(works())
        assert not isinstance(begun, Ended)
        task = asyncio.create_task(begun)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cleaned == [True]

    asyncio.run(scenario())
