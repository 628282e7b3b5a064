"""Waits for a condition instead of a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout_seconds: float, what: str) -> T:
    """Wait until `condition` returns something true; returns that.

    Raises:
        AssertionError: it does not within the time; the message has `what` and the last value.
    """
    deadline = time.monotonic() + timeout_seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"waited {timeout_seconds:g} seconds in vain until {what}; the last answer: {answer!r}"
            )
        time.sleep(0.05)
    return answer
