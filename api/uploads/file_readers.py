"""A small pool of threads that read whole files, apart from the pool of the other blocking calls.

A read stops early when its client closes the connection.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from starlette.requests import Request

from api.errors import unavailable
from api.uploads.multipart import broken_off

T = TypeVar("T")

_THREADS: Final = 2
_QUEUED: Final = 20


class FileReaders:
    """The threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="file-reader")
        self._unfinished = 0

    async def run(self, request: Request, work: Callable[[threading.Event], T]) -> T:
        """The result of `work`, which runs in a thread; it must return soon after the event that it is given is set.

        The event is set when the client of `request` has closed its connection, or this call ends. The body of
        `request` must have been read.

        Raises:
            ApiError: 503, too many files are being read; 400, the client has disconnected; and what `work` raises.
        """
        if self._unfinished >= _THREADS + _QUEUED:
            raise unavailable("the API is reading as many files as it takes at once; try again in a while")
        stop = threading.Event()
        reading = asyncio.get_running_loop().run_in_executor(self._pool, work, stop)
        gone = asyncio.create_task(disconnected(request))
        self._unfinished += 1
        reading.add_done_callback(self._ended)
        try:
            both: set[asyncio.Future[Any]] = {reading, gone}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                raise broken_off()
            return reading.result()
        finally:
            stop.set()
            reading.cancel()
            gone.cancel()

    def _ended(self, _: object) -> None:
        self._unfinished -= 1

    def close(self) -> None:
        """Shut the pool down, without waiting for its threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def disconnected(request: Request) -> None:
    """Wait until the client has closed its connection. The body of `request` must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
