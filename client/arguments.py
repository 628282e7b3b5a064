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
