"""Writes the table of docs/limits.md: ``python -m control.creation.limits_page``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from schemas.policies.quotas import LIMITS, Quotas

PAGE: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "limits.md"
_BEGIN: Final = "<!-- made by python -m control.creation.limits_page -->\n"
_END: Final = "<!-- end -->\n"


def table() -> str:
    """A line for each limit: its name in the setting, default, status, what it bounds, and the advice of a refusal."""
    quotas = Quotas()
    lines = ["| limit | default | status | the most | a refusal says |", "|---|---|---|---|---|"]
    for name, limit in LIMITS.items():
        lines.append(f"| `{name}` | `{getattr(quotas, name):,}` | {limit.status} | {limit.bounds} | {limit.advice} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page with the table as it is to be."""
    before, _, rest = text.partition(_BEGIN)
    return f"{before}{_BEGIN}{table()}{_END}{rest.partition(_END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
