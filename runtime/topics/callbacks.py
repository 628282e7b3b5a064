"""Callbacks of a consumer's group whose errors reach the caller.

confluent-kafka hands a KafkaException of a callback on as its bare KafkaError. That is no subclass of BaseException, so
no `except` with a class catches it, and it ends the thread that called `consume`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Callback = Callable[[Any, list[Any]], None]


class GroupCallbacks:
    """Those of one consumer."""

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
        """To be called after each `consume` and `poll`. Raises the error of a callback that has failed since."""
        error, self._error = self._error, None
        if error is not None:
            raise error
