"""Waits for a condition instead of a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from elasticsearch import Elasticsearch

from runtime import clients
from runtime.settings import Settings

T = TypeVar("T")
PATIENCE = 300.0
"""When a test gives up. What it waits for takes seconds; on a machine with other work to do, it may take many more."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.1
"""Seconds between two looks, which take processor time from what is waited for; most conditions are met soon."""


def wait_until(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Wait up to `seconds` until `condition` returns something true; returns that.

    Raises:
        AssertionError: it does not within the time; the message has `what` and the last value.
    """
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} seconds in vain until {what}; the last answer: {answer!r}")
        time.sleep(pause)
        pause = min(1.3 * pause, _LONGEST_PAUSE)
    return answer


def elasticsearch(settings: Settings) -> Elasticsearch:
    """A blocking client that is as patient as the tests: an index takes a while on a machine with other work to do."""
    return clients.patient_elasticsearch(settings, PATIENCE)
