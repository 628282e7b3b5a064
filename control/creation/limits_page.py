"""Writes the table of docs/limits.md: ``python -m control.creation.limits_page``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.text.markdown import MadeSection, markdown_table
from schemas.policies.quotas import LIMITS, Quotas

PAGE: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "limits.md"
SECTION: Final = MadeSection("limits", "python -m control.creation.limits_page")


def table() -> str:
    """A line for each limit: its name in the setting, default, status, what it bounds, and the advice of a refusal."""
    quotas = Quotas()
    rows = [
        (f"`{name}`", f"`{getattr(quotas, name):,}`", str(limit.status), limit.bounds, limit.advice)
        for name, limit in LIMITS.items()
    ]
    return markdown_table(("limit", "default", "status", "the most", "a refusal says"), rows)


if __name__ == "__main__":
    PAGE.write_text(SECTION.put(PAGE.read_text("utf-8"), table()), "utf-8")
