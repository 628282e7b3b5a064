"""When a worker has a right to act."""

from __future__ import annotations

import asyncio
import logging
import math
import os
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from processor.errors import FencedError
from processor.stream import transport
from processor.stream.faust_app import make_app
from processor.stream.lease import Lease, LostLeaseError
from processor.worker import end_at_once
from runtime.settings import Settings

PARTITION = TP("rows", 0)


def test_a_process_that_kafka_does_not_hear_of_has_no_rights() -> None:
    now = 100.0
    lease = Lease(8, lambda: now)
    assert lease.valid
    lease.last_heartbeat = lambda: 101.0
    now = 105.0
    lease.require()

    async def look() -> None:
        looking = asyncio.create_task(lease.run())
        await asyncio.sleep(0)
        assert not looking.done()
        looking.cancel()

    asyncio.run(look())  # the event loop runs on
    now = 109.5
    assert not lease.valid
    with pytest.raises(FencedError, match="had no heartbeat answered by Kafka"):
        lease.require()
    with pytest.raises(LostLeaseError, match=r"had no heartbeat answered by Kafka for more than 8\.0 s"):
        asyncio.run(lease.run())


def test_nothing_that_is_queued_goes_out_after_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    lease = Lease(8, lambda: 100.0)
    end_at_once(lease)
    assert codes == []
    lease.last_heartbeat = lambda: 91.0
    end_at_once(lease)
    assert codes == [1]


def test_kafka_hears_of_a_worker_by_its_heartbeats_while_it_owns_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, False, True])

    async def beat() -> bool:
        return next(answers)

    async def nothing(*_: Any) -> None: ...

    coordinator = SimpleNamespace(_do_heartbeat=beat, generation=3)

    async def start(thread: Any) -> None:
        thread._consumer = SimpleNamespace(_coordinator=coordinator)

    base = transport.AIOKafkaConsumerThread
    monkeypatch.setattr(base, "on_start", start)
    for callback in ("on_partitions_revoked", "on_partitions_assigned"):
        monkeypatch.setattr(base, callback, nothing)

    async def story() -> None:
        thread = make_app(Settings()).consumer._thread
        thread.clock = iter(range(100)).__next__
        try:
            await thread.on_start()
            assert thread.last_heartbeat == math.inf
            await thread.on_partitions_assigned({PARTITION}, 3)
            assert thread.last_heartbeat == 0
            assert await coordinator._do_heartbeat()
            assert thread.last_heartbeat == 1
            assert not await coordinator._do_heartbeat()
            assert thread.last_heartbeat == 1
            await thread.on_partitions_revoked({PARTITION})
            assert await coordinator._do_heartbeat() and thread.last_heartbeat == math.inf
            coordinator.generation = -1
            await thread.on_partitions_revoked({PARTITION})
            assert thread.last_heartbeat == -math.inf, "another worker has it"
        finally:
            thread.thread_loop.close()

    asyncio.run(story())
