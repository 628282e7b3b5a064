"""Nobody waits for a client of Kafka that does not come to its end."""

from __future__ import annotations

import asyncio
import logging

import pytest

from processor.stream.disconnecting import disconnect


class Slow:
    """A client that stops once it may."""

    def __init__(self, error: Exception | None = None) -> None:
        self.may_stop = asyncio.Event()
        self.stopped = False
        self._error = error

    async def stop(self) -> None:
        await self.may_stop.wait()
        self.stopped = True
        if self._error:
            raise self._error


async def rest() -> None:
    """Until all other tasks are done, and what is called then has been called."""
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
    await asyncio.sleep(0)


def test_a_client_that_waits_for_kafka_holds_up_nobody_and_is_stopped_all_the_same() -> None:
    async def story() -> None:
        client = Slow()
        await disconnect(client, seconds=0)
        assert not client.stopped
        client.may_stop.set()
        await rest()
        assert client.stopped

    asyncio.run(story())


def test_an_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        at_once, late = Slow(OSError("gone")), Slow(OSError("gone later"))
        at_once.may_stop.set()
        with caplog.at_level(logging.DEBUG):
            await disconnect(at_once)
            await disconnect(late, seconds=0)
            late.may_stop.set()
            await rest()
        assert "closed in order: gone\n" in caplog.text
        assert "closed in order: gone later\n" in caplog.text

    asyncio.run(story())


def test_a_worker_that_loses_its_partitions_meanwhile_leaves_no_client_behind() -> None:
    async def story() -> None:
        client = Slow()
        losing = asyncio.create_task(disconnect(client))
        await asyncio.sleep(0)
        losing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await losing
        client.may_stop.set()
        await rest()
        assert client.stopped

    asyncio.run(story())
