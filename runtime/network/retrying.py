"""When a request is made again: after which answers, and with what pauses. The caller decides how often.

A pause is a random part of a bound that doubles ("full jitter"), so that processes which lost a server at the same
moment do not all come back to it at the same moment.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

RETRIED_STATUSES: Final = frozenset({408, 429, 502, 503, 504})
"""HTTP statuses after which the same request may succeed a little later: the server is busy or starting, or a proxy
can't reach it. Any other refusal would come again."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before each further try, in seconds."""

    first: float
    """The bound of the first pause; that of each further one is twice as high."""
    longest: float
    """No bound is higher."""
    fraction: Callable[[], float] = random.random
    """The part of its bound that a pause takes, from 0 to 1."""

    def pauses(self) -> Iterator[float]:
        """The pauses of one request, without an end."""
        bound = self.first
        while True:
            yield bound * self.fraction()
            bound = min(bound * 2, self.longest)
