"""Columns of a Lens chart: buckets and metrics. Each becomes an aggregation of Elasticsearch."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

DataType = Literal["string", "number", "date"]
LANES = 1000
"""Lanes that a sum takes in, at most: Kibana's own limit of a list. A job has one a partition, for each of its runs."""
WHOLE: dict[str, Any] = {"id": "number", "params": {"decimals": 0}}
PERCENT: dict[str, Any] = {"id": "percent", "params": {"decimals": 0}}


class Column(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A column as Lens stores it."""

    label: str
    operation_type: str
    source_field: str
    data_type: DataType
    is_bucketed: bool
    scale: Literal["ordinal", "interval", "ratio"]
    params: dict[str, Any]
    time_scale: Literal["s"] | None = None
    custom_label: bool = msgspec.field(default_factory=lambda: True)
    """Always written: without it Lens would replace our label by its own."""


def over_time(field: str = "at") -> Column:
    """Intervals of the chosen time, those without documents included."""
    params = {"interval": "auto", "includeEmptyRows": True, "dropPartials": False}
    return Column(
        label="Time",
        operation_type="date_histogram",
        source_field=field,
        data_type="date",
        is_bucketed=True,
        scale="interval",
        params=params,
    )


def each(
    field: str,
    label: str,
    size: int,
    *,
    by: str | None = None,
    newest: str | None = None,
    missing: bool = False,
) -> Column:
    """The values of a field, `size` at most: those with the most of column `by`, those with the newest date in field
    `newest`, or else the first ones in order. `missing`: documents without the field are a value of their own.
    """
    order: dict[str, Any] = {"orderBy": {"type": "alphabetical", "fallback": False}, "orderDirection": "asc"}
    if by is not None:
        order = {"orderBy": {"type": "column", "columnId": by}, "orderDirection": "desc"}
    elif newest is not None:
        last = msgspec.to_builtins(highest(newest, "Newest", data_type="date"))
        order = {"orderBy": {"type": "custom"}, "orderAgg": last, "orderDirection": "desc"}
    # Lens asks for documents without a value only where it asks for "Other" as well.
    shown = {"size": size, "otherBucket": missing, "missingBucket": missing, "parentFormat": {"id": "terms"}}
    return Column(
        label=label,
        operation_type="terms",
        source_field=field,
        data_type="string",
        is_bucketed=True,
        scale="ordinal",
        params={**shown, **order},
    )


def lanes() -> Column:
    """Each lane. `totals` is cumulative for a lane, so a job's total is the sum over its lanes."""
    return each("lane", "Lane", LANES)


def _number(operation: str, field: str, label: str, params: dict[str, Any], data_type: DataType = "number") -> Column:
    return Column(
        label=label,
        operation_type=operation,
        source_field=field,
        data_type=data_type,
        is_bucketed=False,
        scale="ratio",
        params=params,
    )


def highest(field: str, label: str, *, shown: dict[str, Any] | None = None, data_type: DataType = "number") -> Column:
    """The highest value: the newest one of a count that only grows."""
    params: dict[str, Any] = {"emptyAsNull": True}
    if data_type == "number":
        params["format"] = shown or WHOLE
    return _number("max", field, label, params, data_type)


def per_second(field: str, label: str) -> Column:
    """The sum of a field in each interval, divided by its seconds."""
    column = _number("sum", field, label, {"emptyAsNull": False, "format": WHOLE})
    return msgspec.structs.replace(column, time_scale="s")


def newest(field: str, label: str, by: str = "at") -> Column:
    """The value in the newest document, for a count that goes up and down."""
    return _number("last_value", field, label, {"sortField": by, "format": WHOLE})


def count(label: str) -> Column:
    """The number of documents."""
    return _number("count", "___records___", label, {"emptyAsNull": False, "format": WHOLE})
