"""Small pools of threads that read files, apart from the pool of the other blocking calls: one for whole files, and one
for looks at their beginnings, which do not wait for those.

An organisation has a part of each pool only, so that its reads do not keep others waiting. A read stops early when its
client closes the connection.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from starlette.requests import Request

from api.errors import unavailable
from api.locks import Turns
from api.uploads.multipart import broken_off

T = TypeVar("T")

THREADS: Final = 4
OF_ONE_ORGANISATION: Final = 2
"""Threads of a pool that read for one organisation at once."""
QUEUED: Final = 20
"""Reads for one organisation that wait for a thread, at most."""


class FileReaders:
    """The threads of one pool."""

    def __init__(self, name: str = "file-reader") -> None:
        """`name`: the beginning of the threads' names."""
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=name)
        self._turns: WeakValueDictionary[str, Turns] = WeakValueDictionary()

    async def run(self, request: Request, organisation: str, work: Callable[[threading.Event], T]) -> T:
        """The result of `work`, which runs in a thread; it must return soon after the event that it is given is set.

        `organisation` has asked for it: its other reads may have to end first. The event is set when the client of
        `request` has closed its connection, or this call ends. The body of `request` must have been read.

        Raises:
            ApiError: 503, too many files are being read; 400, the client has disconnected; and what `work` raises.
        """
        turns = self._turns.setdefault(organisation, Turns(OF_ONE_ORGANISATION))
        if turns.requests >= OF_ONE_ORGANISATION + QUEUED:
            raise unavailable(
                "the API is reading as many files for this organisation as it takes at once; try again in a while"
            )
        turns.requests += 1
        stop = threading.Event()
        reading = asyncio.create_task(self._read(turns, work, stop))
        gone = asyncio.create_task(disconnected(request))
        try:
            both: set[asyncio.Future[Any]] = {reading, gone}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                raise broken_off()
            return reading.result()
        finally:
            turns.requests -= 1
            stop.set()
            reading.cancel()
            gone.cancel()

    async def _read(self, turns: Turns, work: Callable[[threading.Event], T], stop: threading.Event) -> T:
        await turns.free.acquire()
        reading = self._pool.submit(work, stop)
        turns.end_with(reading)
        return await asyncio.wrap_future(reading)

    def close(self) -> None:
        """Shut the pool down, without waiting for its threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def disconnected(request: Request) -> None:
    """Wait until the client has closed its connection. The body of `request` must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
