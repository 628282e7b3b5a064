"""The API with a monitor of its event loop.

``python -m tests.support.processes.watched_api`` serves as `api.server` does.

For each line on standard input it writes a line of JSON to standard output: ``stall``, the longest time in seconds for
which the event loop was blocked since the last line, without the time for which a thread of the process waited for a
core that other processes used, and ``rss``, the memory in bytes now.
"""

from __future__ import annotations

import asyncio
import contextlib
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
_THREADS = Path("/proc/self/task")


class Watch:
    """Measures how late the loop wakes a task that sleeps for a hundredth of a second."""

    def __init__(self) -> None:
        self.stall = 0.0

    async def run(self) -> None:
        """Measure, until cancelled."""
        before, waits = time.monotonic(), _waits_for_a_core()
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            now, waits_now = time.monotonic(), _waits_for_a_core()
            # Any thread: one that waits for a core may hold the lock that the loop's waits for.
            waited = max((seconds - waits.get(thread, 0.0) for thread, seconds in waits_now.items()), default=0.0)
            self.stall = max(self.stall, now - before - _EVERY_SECONDS - waited)
            before, waits = now, waits_now

    def answer(self) -> None:
        """Answer each line of standard input; blocks, so call it in a thread."""
        process = psutil.Process()
        for _ in sys.stdin:
            worst, self.stall = self.stall, 0.0
            print(json.dumps({"stall": worst, "rss": process.memory_info().rss}), flush=True)


def _waits_for_a_core() -> dict[str, float]:
    """Thread of this process -> for how many seconds it could have run and did not, since it began; none where the
    system does not say.
    """
    found: dict[str, float] = {}
    for thread in _THREADS.iterdir() if _THREADS.is_dir() else ():
        with contextlib.suppress(OSError, IndexError):  # it has ended
            found[thread.name] = int((thread / "schedstat").read_bytes().split()[1]) / 1e9
    return found


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
