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
    created: int = 0
    """Applied rows that made new documents, where other jobs may change documents. The next three count the other
    applied rows."""
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    conflicting: int = 0
    """Failed rows whose key exists already."""
    missing: int = 0
    """Failed rows whose key names no document."""
    restored: int = 0
    """Rows of a rollback whose document is as before the job."""
    kept: int = 0
    """Rows of a rollback whose document others have changed since."""
    not_restored: int = 0
    """Rows of a rollback whose document could not be restored."""
