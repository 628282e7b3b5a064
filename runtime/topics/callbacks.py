"""Callbacks of a consumer's group whose errors reach the caller.

When a callback raises a KafkaException, confluent-kafka raises the KafkaError inside it from `consume`. KafkaError is
no subclass of BaseException, so `except Exception` does not catch it, and the thread that called `consume` ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Callback = Callable[[Any, list[Any]], None]


class GroupCallbacks:
    """Keeps the errors that the callbacks of one consumer raise."""

    def __init__(self) -> None:
        self._error: Exception | None = None

    def kept(self, callback: Callback) -> Callback:
        """The same callback; what it raises is kept until `require`."""

        def call(consumer: Any, places: list[Any]) -> None:
            try:
                callback(consumer, places)
            except Exception as error:
                self._error = error

        return call

    def require(self) -> None:
        """Call this after each `consume` and `poll`. Raises the error of a callback that has failed since."""
        error, self._error = self._error, None
        if error is not None:
            raise error
