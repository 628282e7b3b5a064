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
    """Of the applied rows, where others may change the documents: new documents. The next three are the others."""
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    conflicting: int = 0
    """Of the failed rows: their key exists already."""
    missing: int = 0
    """Of the failed rows: their key names no document."""
    restored: int = 0
    """Of a rollback: rows whose document is as before the job."""
    kept: int = 0
    """Others have changed the document since."""
    not_restored: int = 0
    """It could not be done."""
