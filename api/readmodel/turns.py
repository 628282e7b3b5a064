"""Work over many jobs in the event loop, a little at a time, and not more often than it is worth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from itertools import islice
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_SHARE: Final = 10
"""A value is good for so many times as long as it took to make, so that at most a tenth of the time goes into it."""
_LONGEST_SECONDS: Final = 1.0


async def slices(items: Collection[T], size: int) -> AsyncIterator[list[T]]:
    """All that is in `items` now, `size` at a time; between two slices everyone else has a turn."""
    left = iter(list(items))
    while some := list(islice(left, size)):
        yield some
        await asyncio.sleep(0)


class Recent(Generic[T]):
    """A value that is made at most once at a time, for all who ask meanwhile. For use in one event loop."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._making: asyncio.Future[T] | None = None
        self._good_until = 0.0

    async def get(self) -> T:
        """The value, at most a second old. Raises what the making raises."""
        if self._making is None or (self._making.done() and time.monotonic() >= self._good_until):
            self._making = asyncio.ensure_future(self._timed())
        # Whoever leaves does not take it away from the others.
        return await asyncio.shield(self._making)

    async def _timed(self) -> T:
        begun = time.monotonic()
        try:
            return await self._make()
        finally:
            now = time.monotonic()
            self._good_until = now + min(_LONGEST_SECONDS, _SHARE * (now - begun))
