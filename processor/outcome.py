"""What became of one block."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a block's rows."""

    applied: int = 0
    failed: int = 0
    undone: int = 0
    last_row: int = 0
