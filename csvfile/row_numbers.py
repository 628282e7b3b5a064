"""Row numbers as texts: the column ``sluice_row`` of a corrected ``errors.csv``."""

from __future__ import annotations

from schemas.bounds import HIGHEST_ROW

_DIGITS = len(str(HIGHEST_ROW))


def row_number(text: str) -> int | None:
    """The number that `text` is: digits alone, from 1 to `HIGHEST_ROW`; None: it is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        return None
    number = int(text)
    return number if 0 < number <= HIGHEST_ROW else None
