"""Numbers, sizes and times as people read them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from schemas.bounds import moment


def number(value: float | None) -> str:
    """A number with separators; ``-`` for an unknown one."""
    return "-" if value is None else f"{value:,.0f}"


def counted(count: int, what: str) -> str:
    """Such as ``1 job`` and ``2 jobs``; `what` is the word for one."""
    return f"{number(count)} {what}{'' if count == 1 else 's'}"


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


def format_words(found: Mapping[str, Any]) -> list[str]:
    """How a file was written, from the JSON of REST, leaving out what is plain; e.g. ``["gzip", "cp1252"]``."""
    parts = [found.get("compression"), found.get("encoding") if found.get("encoding") != "utf-8" else None]
    if found.get("delimiter") not in (None, ","):
        parts.append("delimiter tab" if found["delimiter"] == "\t" else f"delimiter {found['delimiter']}")
    if found.get("skip_lines"):
        parts.append(f"first lines skipped: {found['skip_lines']}")
    if found.get("comment"):
        parts.append(f"lines in front with {found['comment']} skipped")
    return [str(part) for part in parts if part]


def way(operation: str) -> str:
    """The word between the job's operation and its dataset."""
    return "of" if operation == "export" else "into"


def spaced(name: str) -> str:
    """An event's name, such as ``PauseRequested``, as words: "Pause requested"."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip().capitalize()
