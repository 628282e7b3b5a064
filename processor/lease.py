"""A worker's right to act: it holds only while the process is seen to run.

A process that was frozen (SIGSTOP, a suspended machine, a long stop of the hypervisor) beyond its session has lost its
partitions without knowing it. The monotonic clock of Linux goes on meanwhile, so the first look after waking tells.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from processor.errors import FencedError

TICK_SECONDS = 0.25


class LostLeaseError(Exception):
    """This process stood still for longer than its session. It must end; its successor goes on from the checkpoints."""


class Lease:
    """Valid as long as `run` has had its turn within `seconds`."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._seen_at = clock()

    @property
    def valid(self) -> bool:
        """Whether this process has been seen to run lately."""
        return self._clock() - self._seen_at < self._seconds

    def require(self) -> None:
        """Raises FencedError when the lease is over."""
        if not self.valid:
            raise FencedError

    async def run(self) -> None:
        """Renew the lease for ever. Raises LostLeaseError once it was over: it can't be had back."""
        while True:
            if not self.valid:
                raise LostLeaseError(f"this process stood still for more than {self._seconds:.0f} s")
            self._seen_at = self._clock()
            await asyncio.sleep(TICK_SECONDS)
