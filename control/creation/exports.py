"""Whether an export is so much larger than any before that its request has to confirm it. Pure."""

from __future__ import annotations

from typing import Final

LEAST_ASKED: Final = 100
"""Exports of fewer rows are never asked about."""
TIMES: Final = 10


def far_larger(rows: int, largest_before: int | None) -> bool:
    """Whether an export of `rows` rows has to be confirmed; `largest_before`: rows of the largest of the same
    organisation and dataset that was completed; None: there is none, and the first one is not asked about.
    """
    return largest_before is not None and rows >= LEAST_ASKED and rows >= TIMES * largest_before


def confirmation_words(rows: int, size: str, largest_before: int) -> str:
    """Why the export is refused, and what to say."""
    return (
        f"this export has {rows:,} rows (about {size}), and the largest of this organisation and dataset before had "
        f"{largest_before:,}: if so many are meant, say so (confirm: true; --confirm), else narrow the dates"
    )
