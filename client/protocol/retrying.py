"""When a request is made again, and after which pause."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

RETRIED: Final = frozenset({408, 429, 502, 503, 504})
"""Statuses after which the same request may succeed a little later."""
_LONGEST_ADVICE_SECONDS: Final = 60.0
"""A longer Retry-After is not waited for: the caller is told."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a request is made, and how long to wait in between."""

    attempts: int = 5
    """Tries in all; 1: none is repeated."""
    first_seconds: float = 0.5
    """The bound of the first pause; each further one has twice the bound."""
    longest_seconds: float = 8.0
    """No bound is higher."""
    give_up_seconds: float = 60.0
    """How long a server that does not answer is asked again, by what takes long: events, `wait`, a file in parts."""
    fraction: Callable[[], float] = random.random
    """The part of its bound that a pause takes, from 0 to 1: clients that lost a server together come back apart."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError("a request is made at least once: attempts is 1 or more")

    def pauses(self) -> Iterator[float]:
        """Seconds, without an end."""
        bound = self.first_seconds
        while True:
            yield bound * self.fraction()
            bound = min(bound * 2, self.longest_seconds)


def advised(retry_after: float | None) -> float | None:
    """The pause that the server asks for; None: it does not.

    Raises:
        ValueError: it is longer than anyone waits.
    """
    if retry_after is not None and retry_after > _LONGEST_ADVICE_SECONDS:
        raise ValueError(f"{retry_after:g} s is too long")
    return retry_after
