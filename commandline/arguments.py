"""Arguments that have to be right before they can be sent."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Final

import typer

from commandline.errors import usage

_LENGTHS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
NO_LIMIT: Final = math.inf
"""What `rate_or_none` makes of ``none``."""


def rate(text: str) -> float:
    """Rows a second; JSON has neither nan nor infinity."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise typer.BadParameter(f"{text!r} is not a number of rows a second.")
    return value


def rate_or_none(text: str) -> float:
    """Rows a second, or `NO_LIMIT`."""
    return NO_LIMIT if text.lower() == "none" else rate(text)


def one_of(text: str, known: Sequence[str]) -> str:
    """`text`, if it is one of these words. Raises ClientError: it is not."""
    if text not in known:
        raise usage(f"{text[:60]!r} is not known; use one of {', '.join(known)}")
    return text


def csv_or_json(as_csv: bool, as_json: bool) -> None:
    """Require one form of what is printed, at most. Raises ClientError: there are two."""
    if as_csv and as_json:
        raise usage("--csv and --json are two forms of one list; use one of them")


def when(text: str | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> str | None:
    """A time as REST takes it: from one with or without a date and an offset (here, in this machine's zone), or from a
    length such as ``90m``, ``2h`` or ``1d``, counted from now. A time of the day that has gone by is tomorrow's.

    Raises:
        ClientError: it is none of these.
    """
    if text is None:
        return None
    length = re.fullmatch(r"\+?(\d{1,6})([smhd])", text.strip(), re.ASCII)
    if length is not None:
        at = now() + int(length[1]) * _LENGTHS[length[2]]
    else:
        at = _clock_time(text.strip(), now().astimezone())
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _clock_time(text: str, now: datetime) -> datetime:
    try:
        clock = re.fullmatch(r"(\d{1,2})(:\d\d(?::\d\d)?)", text, re.ASCII)
        if clock is not None:
            at = time.fromisoformat(f"{clock[1]:0>2}{clock[2]}")
            # Each day has an offset of its own, which it may change: the offset of today is not tomorrow's.
            today, tomorrow = (
                datetime.combine(day, at).astimezone() for day in (now.date(), now.date() + timedelta(days=1))
            )
            return today if today > now else tomorrow
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise usage(f"{text[:60]!r} is no time; write 2026-01-31T22:00, 22:00, or 90m, 2h, 1d from now on") from None


def row_errors(text: str | None) -> int | str | None:
    """A number of row errors, or as it is, for the API to judge."""
    return int(text) if text is not None and re.fullmatch("[0-9]{1,18}", text) else text


def columns(texts: list[str]) -> dict[str, str | None]:
    """Column of the file -> field, from ``COLUMN=FIELD``; without a field it is passed over. The last = counts, since a
    column may have one in its name.

    Raises:
        ClientError: there is no = in one, or a column comes twice.
    """
    found = _pairs("--map", "'COLUMN=FIELD', or 'COLUMN=' to pass over the column", [t.rpartition("=") for t in texts])
    return {column: field or None for column, field in found.items()}


def constants(texts: list[str]) -> dict[str, str]:
    """Field -> the text of every row, from ``FIELD=TEXT``. Raises as `columns`."""
    return _pairs("--set", "'FIELD=TEXT'", [text.partition("=") for text in texts])


def _pairs(option: str, how: str, parts: list[tuple[str, str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, sign, text in parts:
        if not sign or not name:
            raise usage(f"write {option} {how}; {sign.join((name, text))!r} is not")
        if name in found:
            raise usage(f"{option} has {name!r} twice; leave one out")
        found[name] = text
    return found
