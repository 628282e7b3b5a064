"""Times that callers write. Pure."""

from __future__ import annotations

from datetime import datetime

from api.errors import invalid


def time_in(name: str, text: str | None) -> int | None:
    """A time in milliseconds since 1970; None: there is none. `name`: of the field, for the refusal.

    Raises:
        ApiError: 400, it is no time, or does not say in which time zone.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.strip())
        if at.tzinfo is not None:
            return max(0, round(at.timestamp() * 1000))
    except (ValueError, OverflowError):
        pass
    raise invalid(f"{name} is a time with its offset, such as 2026-01-31T22:00:00Z, not {text[:60]!r}")
