"""What a worker does when its partitions come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from faust.types import TP

from control.jobtable import JobTable
from processor.app import WorkerApp
from processor.lease import Lease
from runtime.settings import Settings

COMMANDS, ROWS = TP("sluice.commands", 0), TP("sluice.rows", 3)


class Parts:
    """A worker's engine, reporter and control agent, which note what is asked of them and wait for `go`."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.go = asyncio.Event()
        self.ready = asyncio.Event()

    def rebalancing(self) -> None: ...
    def recovered(self) -> None:
        self.done.append("recovered")

    def forget(self) -> None: ...
    async def revoked(self) -> None:
        self.done.append("revoked")

    async def assigned(self, partitions: list[int]) -> None:
        self.done.append(f"assigning {partitions}")
        await self.go.wait()
        self.done.append(f"assigned {partitions}")

    async def take_over(self, _: int) -> None:
        self.done.append("take over")


Story = Callable[[Any, Parts], Coroutine[Any, Any, None]]


def tell(story: Story) -> None:
    """Run a story of a worker whose control table is empty."""

    async def run() -> None:
        parts: Any = Parts()
        worker: Any = WorkerApp(Settings(), JobTable(), parts, parts, Lease(10))
        worker.engine = parts
        consumer = worker.app.consumer

        async def highwaters(*tps: TP) -> dict[TP, int]:
            return dict.fromkeys(tps, 0)

        consumer.highwaters, consumer.assignment = highwaters, lambda: {COMMANDS, ROWS}
        try:
            await asyncio.wait_for(story(worker, parts), 5)
        finally:
            consumer._thread.thread_loop.close()

    asyncio.run(run())


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_worker_is_heard_of_while_it_reads_its_lanes() -> None:
    async def story(worker: Any, parts: Parts) -> None:
        await asyncio.wait_for(worker._on_assigned(None, {COMMANDS, ROWS}), 1)
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
