"""Says in the log that a record can't be read, where it is left out without a dead letter."""

from __future__ import annotations

import logging
from typing import Any


def log_unreadable(
    log: logging.Logger, place: str, offset: int | None, error: Exception, extra: dict[str, Any]
) -> None:
    """`place`: the topic's full name, with the partition behind it where that is not clear; `extra`: `as_event`."""
    log.warning("record at offset %s of %s can't be read: %s", offset, place, error, extra=extra)
