"""A worker's right to act: it holds only while the process is seen to run, and Kafka answers its heartbeats.

A process that was frozen (SIGSTOP, a suspended machine, a long stop of the hypervisor) beyond its session has lost its
partitions without knowing it. The monotonic clock of Linux goes on meanwhile, so the first look after waking shows it.
A process that runs, but whose heartbeats do not reach Kafka, has lost them as well, even if it reaches Elasticsearch.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from processor.errors import FencedError

TICKS = 10
"""Renewals within the time for which the lease is valid, at least."""
MOST_TICK_SECONDS = 1.0


class LostLeaseError(Exception):
    """This process stood still, or sent no heartbeat, for its session. It must end; its successor goes on from the
    checkpoints."""


class Lease:
    """Valid as long as `run` has had its turn, and Kafka has answered a heartbeat, within `seconds`."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._seen_at = clock()
        self.last_heartbeat: Callable[[], float] = lambda: math.inf
        """When this process sent the last heartbeat that Kafka answered, by the same clock; infinity while it owns no
        partition."""

    @property
    def valid(self) -> bool:
        """Whether this process has been seen to run, and has sent a heartbeat, lately."""
        return self._clock() - min(self._seen_at, self.last_heartbeat()) < self._seconds

    def require(self) -> None:
        """Raises FencedError when the lease is over."""
        if not self.valid:
            raise FencedError(self._reason())

    def _reason(self) -> str:
        runs = self._clock() - self._seen_at < self._seconds
        what = "had no heartbeat answered by Kafka" if runs else "stood still"
        return f"this process {what} for more than {self._seconds:.1f} s"

    async def run(self) -> None:
        """Renew the lease for ever. Raises LostLeaseError once it was over: it can't be had back."""
        while True:
            if not self.valid:
                raise LostLeaseError(self._reason())
            self._seen_at = self._clock()
            await asyncio.sleep(min(self._seconds / TICKS, MOST_TICK_SECONDS))
