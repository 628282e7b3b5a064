"""Cells that a spreadsheet would run as a formula, and the apostrophe that keeps it from that.

OWASP, "CSV Injection": cells that begin with = + - @, tab or carriage return. A spreadsheet shows a cell after an
apostrophe as text. Cells that begin with apostrophes before such a sign get one more, so that taking one off
again gives every cell back as it was.
"""

from __future__ import annotations

import re

_RISKY = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def guard(cell: str) -> str:
    """The cell as a spreadsheet may open it."""
    return f"'{cell}" if _RISKY.match(cell) else cell


def unguard(cell: str) -> str:
    """The cell as it was before `guard`; others stay as they are, those that just begin with an apostrophe too."""
    return cell[1:] if _GUARDED.match(cell) else cell
