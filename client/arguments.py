"""Arguments that have to be right before they can be sent."""

from __future__ import annotations

import math
import re
from typing import Final

import typer

from client.errors import usage

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


def idempotency(key: str | None) -> dict[str, str]:
    """The header for an idempotency key.

    Raises:
        ClientError: it can't be a header's value.
    """
    if not key:
        return {}
    if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", key):
        raise usage("an idempotency key has only ASCII characters, and no spaces at its ends")
    return {"Idempotency-Key": key}
