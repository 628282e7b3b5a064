"""The refusal of a command: a value with an HTTP status, and a message that says what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class UnwrittenError(Exception):
    """What follows from an earlier command could not be written, so nothing that was decided after it may be."""


class UndecidedError(Exception):
    """Kafka has not answered what has to be known to decide on a command, which comes again. Trying again helps."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command that changes nothing."""

    code: int
    """400 malformed, 404 no such job, 409 not allowed now, 413 too large, 429 too many."""
    message: str
    details: dict[str, Any] = field(default_factory=dict)
