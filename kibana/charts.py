"""Lens charts: their columns, and their visualization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from kibana.columns import Column
from kibana.objects import Reference, SavedObject, saved_object
from kibana.views import View, heading

LAYER = "data"
TILES = 8
"""Numbers side by side in a Figure, at most."""
Json = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One number, or one for each value of `split`."""

    of: str
    split: str | None = None
    total: bool = False
    """The numbers of `split` are added up, and shown as one."""


@dataclass(frozen=True)
class Table:
    """A row for each combination of the bucket columns."""

    total_over: str | None = None
    """A column that is not shown: the numbers of its values are added up."""


@dataclass(frozen=True)
class Series:
    """Numbers along `along`, a line or an area for each value of `split`."""

    along: str
    of: tuple[str, ...]
    shape: Literal["line", "area_stacked", "bar_stacked", "bar_horizontal_stacked"]
    split: str | None = None
    carry: bool = False
    """An interval without a value shows that of the interval before."""


Look = Figure | Table | Series


@dataclass(frozen=True)
class Chart:
    """A chart in Kibana's library. `name` makes its id, to which dashboards and bookmarks refer: it must not change."""

    name: str
    title: str
    description: str
    view: View
    columns: dict[str, Column]
    """By id, in the order in which Elasticsearch splits."""
    look: Look
    query: str = ""
    """Which documents the chart reads, in KQL."""

    def id(self, prefix: str) -> str:
        """The saved object's id."""
        return f"{prefix}-{self.name}"


def lens(prefix: str, chart: Chart) -> SavedObject:
    """The chart as Kibana stores it."""
    columns = {name: msgspec.to_builtins(column) for name, column in chart.columns.items()}
    layer = {"columns": columns, "columnOrder": list(columns), "incompleteColumns": {}, "sampling": 1}
    kind, state = _visualization(chart)
    attributes = {
        "title": heading(prefix, chart.title),
        "description": chart.description,
        "visualizationType": kind,
        "state": {
            "datasourceStates": {"formBased": {"layers": {LAYER: layer}}},
            "visualization": state,
            "query": {"query": chart.query, "language": "kuery"},
            "filters": [],
            "internalReferences": [],
            "adHocDataViews": {},
        },
    }
    view = Reference(chart.view.id(prefix), f"indexpattern-datasource-layer-{LAYER}", "index-pattern")
    return saved_object("lens", chart.id(prefix), attributes, [view])


def _visualization(chart: Chart) -> tuple[str, Json]:
    match chart.look:
        case Figure():
            return "lnsMetric", _figure(chart.look)
        case Table():
            return "lnsDatatable", _table(chart.look, chart.columns)
        case Series():
            return "lnsXY", _series(chart.look)


def _figure(look: Figure) -> Json:
    state: Json = {"layerId": LAYER, "layerType": "data", "metricAccessor": look.of}
    if look.split:
        state |= {"breakdownByAccessor": look.split, "maxCols": TILES}
    if look.total:
        state["collapseFn"] = "sum"
    return state


def _table(look: Table, columns: dict[str, Column]) -> Json:
    shown: list[Json] = []
    for name, column in columns.items():
        state: Json = {"columnId": name, "isTransposed": False, "isMetric": not column.is_bucketed}
        if name == look.total_over:
            state["collapseFn"] = "sum"
        shown.append(state)
    return {"layerId": LAYER, "layerType": "data", "columns": shown, "paging": {"enabled": True, "size": 20}}


def _series(look: Series) -> Json:
    layer: Json = {
        "layerId": LAYER,
        "layerType": "data",
        "seriesType": look.shape,
        "xAccessor": look.along,
        "accessors": list(look.of),
    }
    if look.split:
        layer["splitAccessor"] = look.split
    state: Json = {
        "preferredSeriesType": look.shape,
        "layers": [layer],
        "legend": {"isVisible": True, "position": "right"},
        "valueLabels": "hide",
        "axisTitlesVisibilitySettings": {"x": False, "yLeft": True, "yRight": True},
        "fittingFunction": "Carry" if look.carry else "None",
    }
    if look.carry:
        state |= {"endValue": "Nearest", "emphasizeFitting": True}
    return state
