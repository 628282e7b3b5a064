"""The API's own process with a watch beside it: ``python -m tests.watched_api`` serves as `api.server` does.

Each line on standard input is answered with a line of JSON on standard output, what was worst since the line before it:
``stall`` (seconds in which the event loop did nothing for others) and ``rss`` (bytes of memory, now).
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time

import psutil

from api.server import server
from runtime.logs import configure_logging
from runtime.settings import settings

_EVERY_SECONDS = 0.01


class Watch:
    """How late the loop wakes a task that sleeps for a hundredth of a second."""

    def __init__(self) -> None:
        self.stall = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(_EVERY_SECONDS)
            self.stall = max(self.stall, time.monotonic() - before - _EVERY_SECONDS)

    def answer(self) -> None:
        """Serve the questions, in a thread."""
        process = psutil.Process()
        for _ in sys.stdin:
            worst, self.stall = self.stall, 0.0
            print(json.dumps({"stall": worst, "rss": process.memory_info().rss}), flush=True)


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
