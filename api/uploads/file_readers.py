"""Threads for whole files: few, so that however many files are named the other threads stay free, and stopped early."""

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

_AT_ONCE: Final = 2
_WAITING: Final = 20


class FileReaders:
    """The threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="file-reader")
        self._under_way = 0

    async def run(self, request: Request, work: Callable[[threading.Event], T]) -> T:
        """What `work` answers; it is to end soon after the event it is given is set: then nobody wants it any more.

        `request` is the one that wants it; its body has been read.

        Raises:
            ApiError: 503, too many files are being read; 400, the client has left; and whatever `work` raises.
        """
        if self._under_way >= _AT_ONCE + _WAITING:
            raise unavailable("the API is reading as many files as it takes at once; try again in a while")
        stop = threading.Event()
        reading = asyncio.get_running_loop().run_in_executor(self._pool, work, stop)
        gone = asyncio.create_task(_left(request))
        self._under_way += 1
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
        self._under_way -= 1

    def close(self) -> None:
        """Wait for no file any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _left(request: Request) -> None:
    """Until the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
