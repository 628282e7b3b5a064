"""Numbers, sizes and times as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.bounds import moment


def number(value: float | None) -> str:
    """A number with separators; ``-`` for an unknown one."""
    return "-" if value is None else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Seconds as ``1:02:03`` or ``2:03``; ``-`` for an unknown time."""
    if seconds is None:
        return "-"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def size(count: float | None) -> str:
    """Bytes with a unit."""
    if count is None:
        return "-"
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def iso_time(at_ms: int | None) -> str | None:
    """Milliseconds since 1970 as ISO 8601 in UTC, e.g. ``2026-01-31T12:00:00.000Z``."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(moment(at_ms) / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def way(operation: str) -> str:
    """The word between the job's operation and its dataset."""
    return "of" if operation == "export" else "into"
