"""Exports, as data: the rows of a span in Elasticsearch, their order, and the names of the files."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta
from typing import Any

from schemas.messages.blocks import Span

KEEP_ALIVE = "15m"
"""How long Elasticsearch keeps a point in time after its last use. Until the job is over, a worker uses it often."""
GONE = (
    "the point in time it reads in is gone from Elasticsearch (which was restarted, or the job stood still without a "
    "worker for too long), and another one would not be the same rows: start the export again"
)

_DAY = timedelta(days=1)


def range_query(field: str, organisation: str, first_day: str, last_day: str | None) -> dict[str, Any]:
    """An organisation's rows from a day to a day (YYYY-MM-DD, UTC), both included; None: to the last there are.

    In UTC a time with an offset may be before the year 1 or after 9999: from the first day there is on are all rows.
    """
    bounds = {"format": "strict_date_optional_time"}
    if first_day != date.min.isoformat():
        bounds["gte"] = first_day
    if last_day is not None:
        with suppress(OverflowError):  # there is no later day
            bounds["lt"] = (date.fromisoformat(last_day) + _DAY).isoformat()
    return _all(organisation, {"range": {field: bounds}})


def span_query(field: str, organisation: str, span: Span) -> dict[str, Any]:
    """The rows of a span."""
    # Not as texts: an offset may put a time of the first or last day there is beyond the years that have four digits.
    bounds = {"gte": span.since, "lte": span.till, "format": "epoch_millis"}
    conditions: list[dict[str, Any]] = [{"range": {field: bounds}}]
    for name, limits in (("sluice.job_id", span.jobs), ("sluice.row_number", span.rows)):
        if limits is not None:
            conditions.append({"range": {name: {"gte": limits[0], "lte": limits[1]}}})
    return _all(organisation, *conditions)


def sort_order(field: str) -> list[dict[str, str]]:
    """The order of an export's rows: by date, those of one date by job and row."""
    return [{field: "asc"}, {"sluice.job_id": "asc"}, {"sluice.row_number": "asc"}]


def part_path(job_id: str, block: int) -> str:
    """Where a slice's rows are in storage until they are joined."""
    return f"{parts_folder(job_id)}{block:08}.csv"


def parts_folder(job_id: str) -> str:
    """Where all of a job's parts are."""
    return f"parts/{job_id}/"


def result_path(job_id: str) -> str:
    """Where a job's file is in storage."""
    return f"results/{job_id}.csv"


def _all(organisation: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {"bool": {"filter": [{"term": {"sluice.organisation": organisation}}, *conditions]}}
