"""When the next request may go out: as late as keeps Elasticsearch busy, since nothing stops a request that it has.

With two allowed in flight, the second does not help while Elasticsearch is at work on the first: it waits in a queue
there, and a job that is paused meanwhile has to wait for it. So it is sent shortly before the first is due.

A slot that opens goes to the job that had its last one longest ago: one that has just been resumed does not wait for
all the requests that another has ready.

Requests that only read have as many slots of their own, for `READ_SECONDS` each, and little ones need none. They take
Elasticsearch little time, so a pause hardly waits for them; and a batch that has to read first, or to note what it has
done, does not wait for the large writes of the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

LEAD_SECONDS = 0.04
"""The next request is sent this long before an answer is due: Elasticsearch has read it by then."""
READ_SECONDS = 2.0
"""A read that is not answered for so long leaves its slot to others: Elasticsearch waits for a shard, say, and the
client for Elasticsearch, for many times as long."""
REMEMBERED = 9
"""Requests whose times tell when one is due; their median, since a refresh makes single ones take long."""
MOST_PASSED = 3
"""A request that waits lets so many that have come after it go first; then it has the next slot."""
OWNERS = 64
"""Whose last slot is remembered, at most. A job is forgotten by and by, and is then as one that has had none."""


@dataclass(slots=True, eq=False)
class _Request:
    begun_at: float | None
    """When Elasticsearch is thought to have begun; None: it waits for another one."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request that waits for a slot."""

    owner: str
    passed: int = 0
    """Requests that have come later, and have had a slot before it."""


class Pace:
    """Slots for requests, for the jobs in turn. Times are seconds of `clock`."""

    def __init__(self, in_flight: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`in_flight`: slots for writes, and as many for reads. The last write slot opens only when the oldest write is
        due.
        """
        self._most = in_flight
        self._reads: list[_Request] = []
        self._next_read = asyncio.Lock()
        self._read_ended = asyncio.Event()
        self._clock = clock
        self._waiting: list[_Waiting] = []
        """In the order in which they have come."""
        self._changed = asyncio.Event()
        """Set when a slot may have opened, or another request may be the next."""
        self._requests: list[_Request] = []
        self._times: deque[float] = deque(maxlen=REMEMBERED)
        self._served: dict[str, None] = {}
        """Owners that have had slots, the one that had its last one longest ago first."""

    @contextlib.asynccontextmanager
    async def slot(self, writes: bool = True, little: bool = False, owner: str = "") -> AsyncIterator[None]:
        """Wait for a slot, and have it until the request is answered or has failed. `owner`: the job whose request it
        is; write slots go to owners in turn, and to requests of one owner in their order."""
        if little:
            yield
            return
        if not writes:
            async with self._reading():
                yield
            return
        request = await self._opened(owner)
        try:
            yield
            if request.begun_at is not None:
                self._times.append(self._clock() - request.begun_at)
        finally:
            self._end(request)

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        """A slot for a read. One that has had it for `READ_SECONDS` keeps no other waiting any more."""
        async with self._next_read:  # in the order in which they come
            while (wait := self._read_wait()) > 0:
                self._read_ended.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._read_ended.wait()
            request = _Request(self._clock())
            self._reads.append(request)
        try:
            yield
        finally:
            self._reads.remove(request)
            self._read_ended.set()

    def _read_wait(self) -> float:
        """How long until the next slot for a read opens, if none is answered meanwhile."""
        now = self._clock()
        left = sorted(read.begun_at + READ_SECONDS - now for read in self._reads if read.begun_at is not None)
        left = [seconds for seconds in left if seconds > 0]
        return left[len(left) - self._most] if len(left) >= self._most else 0.0

    async def _opened(self, owner: str) -> _Request:
        mine = _Waiting(owner)
        self._waiting.append(mine)
        try:
            while (wait := self.wait_seconds()) > 0 or self._next() is not mine:
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if wait <= 0 or math.isinf(wait) else wait):
                        await self._changed.wait()
            for other in self._waiting[: self._waiting.index(mine)]:
                other.passed += 1
            self._served.pop(owner, None)
            self._served[owner] = None
            if len(self._served) > OWNERS:
                del self._served[next(iter(self._served))]
            waits = self._free() == 1 and bool(self._requests)
            request = _Request(None if waits else self._clock())
            self._requests.append(request)
            return request
        finally:
            self._waiting.remove(mine)
            self._changed.set()

    def _next(self) -> _Waiting:
        """Which of those that wait has the next slot."""
        patient = next((one for one in self._waiting if one.passed >= MOST_PASSED), None)
        places = {owner: place for place, owner in enumerate(self._served)}
        return patient or min(self._waiting, key=lambda one: places.get(one.owner, -1))

    def wait_seconds(self) -> float:
        """How long until the next slot opens, if nothing is answered meanwhile; infinity: not before that."""
        free = self._free()
        if free == 0:
            return math.inf
        begun = [other.begun_at for other in self._requests if other.begun_at is not None]
        if free > 1 or not begun or not self._times:
            return 0.0
        return min(begun) + statistics.median(self._times) - LEAD_SECONDS - self._clock()

    def _free(self) -> int:
        return self._most - len(self._requests)

    def _end(self, request: _Request) -> None:
        self._requests.remove(request)
        for other in self._requests:
            if other.begun_at is None:
                other.begun_at = self._clock()
        self._changed.set()
