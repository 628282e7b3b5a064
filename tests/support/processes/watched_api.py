"""The API with a monitor of its event loop.

``python -m tests.support.processes.watched_api`` serves as `api.server` does.

For each line on standard input it writes a line of JSON to standard output: ``stall``, the longest time in seconds for
which the event loop was blocked since the last line, without the time for which its thread waited for a core that other
processes used, and ``rss``, the memory in bytes now.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from pathlib import Path

import psutil

from api.server import server
from runtime.logs import configure_logging
from runtime.settings import settings

_EVERY_SECONDS = 0.01


class Watch:
    """Measures how late the loop wakes a task that sleeps for a hundredth of a second."""

    def __init__(self) -> None:
        self.stall = 0.0

    async def run(self) -> None:
        """Measure, until cancelled."""
        while True:
            before, waited = time.monotonic(), _waited_for_a_core()
            await asyncio.sleep(_EVERY_SECONDS)
            late = time.monotonic() - before - _EVERY_SECONDS
            self.stall = max(self.stall, late - (_waited_for_a_core() - waited))

    def answer(self) -> None:
        """Answer each line of standard input; blocks, so call it in a thread."""
        process = psutil.Process()
        for _ in sys.stdin:
            worst, self.stall = self.stall, 0.0
            print(json.dumps({"stall": worst, "rss": process.memory_info().rss}), flush=True)


def _waited_for_a_core() -> float:
    """For how many seconds this thread could have run and did not, since it began; 0 where the system does not say."""
    statistics = Path("/proc/thread-self/schedstat")
    return int(statistics.read_bytes().split()[1]) / 1e9 if statistics.exists() else 0.0


async def _serve(watch: Watch) -> None:
    watching = asyncio.create_task(watch.run())
    try:
        await running.serve()
    finally:
        watching.cancel()


if __name__ == "__main__":
    configure_logging(settings())
    running = server(settings())
    seen = Watch()
    threading.Thread(target=seen.answer, daemon=True).start()
    with asyncio.Runner(loop_factory=running.config.get_loop_factory()) as runner:
        runner.run(_serve(seen))
