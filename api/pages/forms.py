"""The fields of the page's forms, as the requests that REST takes: what they mean is decided there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any

from api.errors import invalid
from api.jobs.job_request import values_as
from api.models import JobRequest
from control.limits import rate_problem
from schemas.bounds import RATE_WORDS

Fields = Mapping[str, str]


def upload_request(fields: Fields) -> JobRequest:
    """The job of the form for uploads. Raises ApiError: 400."""
    return _job(fields, "upload", dataset=_text(fields, "dataset"), options=_row_options(fields))


def teams_request(fields: Fields) -> JobRequest:
    """The job of the form for teams. Raises ApiError: 400."""
    return _job(fields, "teams", options=_row_options(fields))


def export_request(fields: Fields) -> JobRequest:
    """The job of the form for exports. Raises ApiError: 400."""
    options: dict[str, Any] = {"raw": "raw" in fields, "rows_per_second": rate_in(fields)}
    days = {name: _text(fields, name) for name in ("from", "till")}
    return _job(fields, "export", dataset=_text(fields, "dataset"), options=options, **days)


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
    if rate_problem(rate) is not None:
        raise invalid(f"rows a second is {RATE_WORDS}, not {text[:80]!r}; leave it empty for no limit")
    return rate


def reason_in(fields: Fields) -> str | None:
    """Why, in the operator's words."""
    return _text(fields, "reason")


def _job(fields: Fields, operation: str, **more: Any) -> JobRequest:
    values = {"operation": operation, "reason": reason_in(fields), **more}
    organisation = _text(fields, "organisation")
    return values_as(values if organisation is None else {**values, "organisation": organisation}, JobRequest)


def _row_options(fields: Fields) -> dict[str, Any]:
    options: dict[str, Any] = {"dry_run": "dry_run" in fields, "rows_per_second": rate_in(fields)}
    limit = _text(fields, "max_errors")
    if limit is not None:
        options["max_errors"] = int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 19 else limit
    if "queue" in fields:
        options["if_busy"] = "queue"
    if "raw" in fields:
        options["raw"] = True
    return options


def _text(fields: Fields, name: str) -> str | None:
    return fields.get(name, "").strip() or None
