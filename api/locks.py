"""Locks by name, for the event loop of one process. A lock is there as long as somebody holds it or waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final
from weakref import WeakValueDictionary

from api.errors import unavailable

PATIENCE_SECONDS: Final = 10.0


class NamedLocks:
    """A lock for each name."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def held(self, *names: str, seconds: float | None = None) -> AsyncIterator[None]:
        """Hold the locks of all these names.

        Raises:
            ApiError: 503, it took longer than so many seconds to get them.
        """
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(seconds):
                    # All take them in the same order, so that no two wait for each other.
                    for name in sorted(set(names)):
                        await held.enter_async_context(self._locks.setdefault(name, asyncio.Lock()))
            except TimeoutError:
                raise unavailable("requests before this one are not done yet; try again in a moment") from None
            yield


class OrganisationLocks(NamedLocks):
    """Lets one request at a time make something of which an organisation has so many, or each under another name.

    The caller counts and looks up while it holds the lock, and writes before it gives it up. Each API process has locks
    of its own: of requests to several processes at the same moment each may find the last room, or the same name free.
    """

    def alone(
        self, organisations: Collection[str] | None, seconds: float | None = PATIENCE_SECONDS
    ) -> AbstractAsyncContextManager[None]:
        """Hold the locks of these organisations; None: of what is for all organisations. Raises as `held`."""
        return self.held(*(organisations or ("",)), seconds=seconds)


class Turns:
    """Whose turn it is among what one organisation has a pool of threads do, which others use as well."""

    def __init__(self, at_once: int) -> None:
        """`at_once`: threads that the organisation may have."""
        self.free = asyncio.Semaphore(at_once)
        self.requests = 0
        """Those that have a turn or wait for one, as far as its user counts them."""

    def end_with(self, work: Future[Any]) -> None:
        """End a turn as soon as its thread is free again, which may be later than its request ends."""
        loop = asyncio.get_running_loop()

        def give(_: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self.free.release)

        work.add_done_callback(give)
