"""Keeps the event loop free for other requests: long loops in time slices, and expensive values cached."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from itertools import islice
from typing import Final, Generic, TypeVar

from runtime.telemetry.log_events import as_event

T = TypeVar("T")

log = logging.getLogger(__name__)

_SHARE: Final = 10
"""A value is kept this many times as long as computing it took: computing takes a tenth of the time at most."""
_LONGEST_SECONDS: Final = 1.0


async def time_slices(items: Collection[T], size: int) -> AsyncIterator[list[T]]:
    """The items, `size` at a time; before each next slice the event loop runs the other tasks."""
    left = iter(list(items))
    while some := list(islice(left, size)):
        yield some
        await asyncio.sleep(0)


class CachedValue(Generic[T]):
    """A value that is computed once for all requests that arrive meanwhile, and kept for up to a second.

    For use in one event loop.
    """

    def __init__(self, compute: Callable[[], Awaitable[T]]) -> None:
        self._compute = compute
        self._computing: asyncio.Future[T] | None = None
        self._expires_at = 0.0

    async def get(self) -> T:
        """The value, at most a second old. Raises what `compute` raises."""
        if self._computing is None or (self._computing.done() and time.monotonic() >= self._expires_at):
            self._computing = asyncio.ensure_future(self._timed())
        # Shielded: a request that is cancelled must not cancel it for the others.
        return await asyncio.shield(self._computing)

    async def _timed(self) -> T:
        begun = time.monotonic()
        try:
            return await self._compute()
        finally:
            now = time.monotonic()
            self._expires_at = now + min(_LONGEST_SECONDS, _SHARE * (now - begun))


class Lately(Generic[T]):
    """A value that is computed in the background, at most every so many seconds, and never waited for longer than told.

    For use in one event loop.
    """

    def __init__(self, compute: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._compute = compute
        self._seconds = seconds
        self._computing: asyncio.Task[None] | None = None
        self._due_at = 0.0
        self._value: T | None = None

    def get(self) -> T | None:
        """The value as it was when it was last computed; None: it is not known, or could not be computed."""
        if (self._computing is None or self._computing.done()) and time.monotonic() >= self._due_at:
            self._computing = asyncio.create_task(self._renew())
        return self._value

    async def within(self, seconds: float) -> T | None:
        """As `get`, once it is computed if it is being computed now, but after so many seconds at most."""
        known = self.get()
        if self._computing is None or self._computing.done():
            return known
        await asyncio.wait([self._computing], timeout=seconds)
        return self._value

    async def _renew(self) -> None:
        try:
            self._value = await self._compute()
        except Exception as error:
            self._value = None
            log.info("a number could not be computed: %s", error, extra=as_event("figures.trouble"))
        finally:
            self._due_at = time.monotonic() + self._seconds
