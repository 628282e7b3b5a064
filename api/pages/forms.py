"""The fields of the page's forms, as the JSON that REST takes: what they mean is decided there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any

import msgspec

from api.errors import invalid
from control.limits import rate_problem
from schemas.bounds import RATE_WORDS
from schemas.codec import UndecodableError, decode

Fields = Mapping[str, str]


def upload_json(fields: Fields) -> bytes:
    """The job of the form for uploads."""
    return _job(fields, "upload", dataset=_text(fields, "dataset"), options=_row_options(fields))


def teams_json(fields: Fields) -> bytes:
    """The job of the form for teams."""
    return _job(fields, "teams", options=_row_options(fields))


def export_json(fields: Fields) -> bytes:
    """The job of the form for exports."""
    options: dict[str, Any] = {"raw": True} if "raw" in fields else {}
    rate = rate_in(fields)
    if rate is not None:
        options |= {"rows_per_second": rate}
    more = {name: text for name in ("from", "till") if (text := _text(fields, name)) is not None}
    return _job(fields, "export", dataset=_text(fields, "dataset"), options=options, **more)


def columns_in(fields: Fields) -> dict[str, str | None]:
    """Column of the file -> field, as the page's script has written it; empty: nobody has chosen anything.

    Raises:
        ApiError: 400, it is not what the script writes.
    """
    try:
        found: dict[str, str | None] = decode(fields.get("columns", "").encode() or b"{}", dict[str, str | None])
    except UndecodableError as error:
        raise invalid(f"the columns that were chosen can't be read ({error}); open the page anew") from error
    return found


def rate_in(fields: Fields) -> float | None:
    """The most rows a second; None: the field is empty, no limit.

    Raises:
        ApiError: 400, it is no number that can be used.
    """
    text = _text(fields, "rows_per_second")
    if text is None:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = nan
    # JSON has no infinity and no NaN: they would become null there, which means no limit.
    if rate_problem(rate) is not None:
        raise invalid(f"rows a second is {RATE_WORDS}, not {text[:80]!r}; leave it empty for no limit")
    return rate


def reason_in(fields: Fields) -> str | None:
    """Why, in the operator's words."""
    return _text(fields, "reason")


def _job(fields: Fields, operation: str, **more: Any) -> bytes:
    job: dict[str, Any] = {"operation": operation, "reason": reason_in(fields), **more}
    organisation = _text(fields, "organisation")
    if organisation is not None:
        job["organisation"] = organisation
    return msgspec.json.encode(job)


def _row_options(fields: Fields) -> dict[str, Any]:
    options: dict[str, Any] = {"dry_run": "dry_run" in fields, "rows_per_second": rate_in(fields)}
    limit = _text(fields, "max_errors")
    if limit is not None:
        options["max_errors"] = int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 19 else limit
    if "queue" in fields:
        options["if_busy"] = "queue"
    if "raw" in fields:
        options["raw"] = True
    columns = columns_in(fields)
    if columns:
        options["columns"] = columns
    return options


def _text(fields: Fields, name: str) -> str | None:
    return fields.get(name, "").strip() or None
