"""Requests a second, of each organisation: a bucket of tokens, which holds those of two seconds."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from api.principals.caller import Bucket

_SAVED_SECONDS: Final = 2.0
_MOST: Final = 10_000
"""Callers whose buckets are kept, at most; the quietest is forgotten first, and has a full bucket again."""


@dataclass(slots=True)
class RequestRates:
    """The buckets of one process."""

    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[Bucket, tuple[float, float]] = field(default_factory=OrderedDict)
    """Bucket -> its tokens, and when they were counted."""

    def wait_seconds(self, whose: Bucket, rate: float) -> float:
        """Take in a request; 0: it may be served, else the seconds after which the next one may be."""
        now = self.clock()
        most = max(1.0, rate * _SAVED_SECONDS)
        tokens, counted = self._buckets.pop(whose, (most, now))
        tokens = min(most, tokens + (now - counted) * rate)
        served = tokens >= 1
        self._buckets[whose] = (tokens - served, now)
        while len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        return 0.0 if served else (1 - tokens) / rate
