"""Clocks and a sleep, handed to what dates records, measures or waits, so that a test can hand in its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks and the sleep of an event loop."""

    now_ms: Callable[[], int] = now_ms
    """Milliseconds since 1970, for what is recorded."""
    monotonic: Callable[[], float] = time.monotonic
    """Seconds that only grow, for what is measured."""
    sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep
    """Waits for a number of seconds."""


SYSTEM_CLOCK: Final = Clock()
