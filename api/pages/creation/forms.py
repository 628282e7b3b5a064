"""The fields of the page's forms, as the requests that REST takes: what they mean is decided there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any, Final

from api.errors import invalid
from api.models.requests import JobRequest
from api.pages.start_forms import source_of
from api.web.parsing import number_in, values_as
from control.creation.admission import Kind
from control.creation.limits import rate_problem
from schemas.bounds import RATE_WORDS
from schemas.job import FORMAT_OPTIONS, MODE_OPTIONS, Options
from schemas.messages.codec import UndecodableError, decode, encode

Fields = Mapping[str, str]
_WITHOUT_OFFSET: Final = len("2026-01-31T22:00:00")


def job_request(fields: Fields, operation: str, kind: Kind) -> JobRequest:
    """The job of an operation's form.

    Raises:
        ApiError: 400, a field can't be used.
    """
    job: dict[str, Any] = {"operation": operation, "reason": reason_in(fields), "options": _options(fields, kind)}
    names = ["organisation"] if kind.dataset is not None else ["organisation", "dataset"]
    start_at = time_in_form(fields, "start_at")
    if start_at is not None:
        job["start_at"] = start_at
    for name in [*names, *(("from", "till") if kind.dated else ())]:
        text = _text(fields, name)
        if text is not None:
            job[name] = text
    if kind.makes_file and "confirm" in fields:
        job["confirm"] = True
    if source_of(kind) == "topic":
        job["source"] = "topic"
    url = _text(fields, "url")
    if url is not None:
        job["source"] = {"url": url}
    return values_as(job, JobRequest)


def columns_in(fields: Fields) -> dict[str, str | None]:
    """Column of the file -> field, as the page's script writes it; empty: no choice was made.

    Raises:
        ApiError: 400, it is not what the script writes.
    """
    try:
        found: dict[str, str | None] = decode(fields.get("columns", "").encode() or b"{}", dict[str, str | None])
    except UndecodableError as error:
        raise invalid(f"the columns that were chosen can't be read ({error}); open the page anew") from error
    return found


def format_in(fields: Fields) -> dict[str, Any]:
    """The options that say how the file is written, as far as they were given."""
    texts = ((name, _text(fields, name)) for name in FORMAT_OPTIONS)
    return {name: number_in(text) if name == "skip_lines" else text for name, text in texts if text is not None}


def form_of_options(options: Options) -> dict[str, str]:
    """The fields that say these options, but for those that are said anew for each job."""
    values: dict[str, str] = {"columns": encode(options.columns).decode()} if options.columns else {}
    for name in ("rows_per_second", "max_errors", "suspicions", "notify", *MODE_OPTIONS, *FORMAT_OPTIONS):
        value = getattr(options, name)
        if value not in (None, 0, "keep"):
            values[name] = f"{value:.15g}" if isinstance(value, float) else str(value)
    return {**values, **({"raw": "on"} if options.raw else {})}


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


def time_in_form(fields: Fields, name: str) -> str | None:
    """A time of the page, which is in UTC, as REST takes it; None: the field is empty."""
    text = _text(fields, name)
    return None if text is None else f"{text}Z" if len(text) <= _WITHOUT_OFFSET else text


def reason_in(fields: Fields) -> str | None:
    """Why, in the operator's words."""
    return _text(fields, "reason")


def _options(fields: Fields, kind: Kind) -> dict[str, Any]:
    """The options that the form has; those that an operation can't have are not in it."""
    options: dict[str, Any] = {"rows_per_second": rate_in(fields), "raw": "raw" in fields}
    notify = _text(fields, "notify")
    if notify is not None:
        options["notify"] = notify
    if not kind.makes_file:
        options["dry_run"] = "dry_run" in fields
        limit = _text(fields, "max_errors")
        if limit is not None:
            options["max_errors"] = number_in(limit)
    if kind.modes:
        options |= {name: text for name in MODE_OPTIONS if (text := _text(fields, name)) is not None}
    if kind.exclusive and "queue" in fields:
        options["if_busy"] = "queue"
    if source_of(kind) == "file":
        suspicions = _text(fields, "suspicions")
        options |= {"suspicions": suspicions} if suspicions else {}
        if "same" in fields:
            options["if_same"] = "allow"
        columns = columns_in(fields)
        mapping = _text(fields, "mapping")
        if mapping is not None:
            options["mapping"] = mapping
        options |= {**({"columns": columns} if columns else {}), **format_in(fields)}
    return options


def _text(fields: Fields, name: str) -> str | None:
    return fields.get(name, "").strip() or None
