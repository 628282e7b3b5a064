"""A request for a job as a query of its address, for a form that has nothing but a file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from api.errors import invalid
from api.jobs.creation.job_request import values_as, whole_number
from api.models.requests import JobRequest
from schemas.job import FORMAT_OPTIONS, MODE_OPTIONS

FIELDS: Final = ("operation", "dataset", "organisation", "reason", "start_at")
OPTIONS: Final = (
    *("dry_run", "max_errors", "rows_per_second", "if_busy", "if_same", "raw", "suspicions", "notify", "mapping"),
    *MODE_OPTIONS,
    "ignore_extra",
    *FORMAT_OPTIONS,
)
"""Options with a single value each; `columns` and `set` belong into JSON."""
_DECIMAL: Final = re.compile(r"\d{1,18}\.\d{1,18}", re.ASCII)
_TRUTH: Final = {"true": True, "false": False}
_NUMBERS: Final = frozenset({"max_errors", "rows_per_second", "skip_lines"})
_TRUTHS: Final = frozenset({"dry_run", "raw", "ignore_extra"})


def request_in_query(query: Iterable[tuple[str, str]]) -> JobRequest | None:
    """The request in a query's names and values; None: it has none.

    Raises:
        ApiError: 400, a name is not known or comes twice, or a value does not fit.
    """
    job: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, text in query:
        place = job if name in FIELDS else options
        if name not in (*FIELDS, *OPTIONS):
            raise invalid(f"the parameter {name[:80]!r} is not known; use {', '.join((*FIELDS, *OPTIONS))}")
        if name in place:
            raise invalid(f"the parameter {name!r} comes twice; give it once")
        place[name] = _value(name, text)
    return values_as({**job, "options": options}, JobRequest) if job or options else None


def _value(name: str, text: str) -> object:
    if name in _TRUTHS:
        return _TRUTH.get(text, text)
    if name not in _NUMBERS:
        return text
    return float(text) if _DECIMAL.fullmatch(text) else whole_number(text)
