"""A record that Faust has given out, as far as its acknowledgement goes."""

from __future__ import annotations

from typing import Protocol


class Acknowledgeable(Protocol):
    """A record's acknowledgement."""

    def ack(self) -> bool:
        """Let Faust commit past it, and past everything before it."""
        ...
