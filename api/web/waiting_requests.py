"""Requests that wait for jobs: each holds a connection for up to minutes, so they share a bound of their own. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from api.principals.caller import Bucket


class WaitingRequests:
    """The requests of one process that wait now, `most` at once: one more of the same callers may wait only while there
    are more places left than these callers have. So callers that have none find one, whatever others have."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: Counter[Bucket] = Counter()

    @contextmanager
    def granted(self, whose: Bucket, seconds: float | None) -> Iterator[float]:
        """How many seconds a request may wait, while the context is open: those that it asks for, or none."""
        left = self._most - self._waiting.total()
        if not seconds or self._waiting[whose] >= left:
            yield 0.0
            return
        self._waiting[whose] += 1
        try:
            yield seconds
        finally:
            self._waiting[whose] -= 1
            if not self._waiting[whose]:
                del self._waiting[whose]
