"""Dashboards: charts in a grid, and controls above them to filter by a field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kibana.charts import Chart
from kibana.objects import Reference, SavedObject, compact, saved_object
from kibana.views import View, heading

WIDTH = 48
"""Columns of Kibana's grid."""
REFRESH_MS = 10_000


@dataclass(frozen=True)
class Tile:
    """A chart and its size, in units of the grid."""

    chart: Chart
    width: int
    height: int


@dataclass(frozen=True)
class Choice:
    """A control with the values of a field; the chosen values filter every chart that has a field of this name."""

    field: str
    title: str
    view: View
    single: bool = False


@dataclass(frozen=True)
class Dashboard:
    """Rows of tiles, from top to bottom. `name` makes its id, and so its address: it must not change."""

    name: str
    title: str
    description: str
    rows: tuple[tuple[Tile, ...], ...]
    choices: tuple[Choice, ...] = ()
    since: str = "now-24h"
    """The beginning of its time range when it is opened."""

    def id(self, prefix: str) -> str:
        """The saved object's id."""
        return f"{prefix}-{self.name}"

    @property
    def charts(self) -> list[Chart]:
        """The charts of all tiles."""
        return [tile.chart for row in self.rows for tile in row]


def dashboard(prefix: str, board: Dashboard) -> SavedObject:
    """The dashboard as Kibana stores it."""
    attributes: dict[str, Any] = {
        "title": heading(prefix, board.title),
        "description": board.description,
        "panelsJSON": compact(_panels(board)),
        "optionsJSON": compact(
            {
                "useMargins": True,
                "syncColors": True,
                "syncCursor": True,
                "syncTooltips": False,
                "hidePanelTitles": False,
            }
        ),
        "kibanaSavedObjectMeta": {
            "searchSourceJSON": compact({"query": {"query": "", "language": "kuery"}, "filter": []})
        },
        "timeRestore": True,
        "timeFrom": board.since,
        "timeTo": "now",
        "refreshInterval": {"pause": False, "value": REFRESH_MS},
    }
    if board.choices:
        attributes["controlGroupInput"] = _controls(board)
    charts = [Reference(chart.id(prefix), f"{chart.name}:panel_{chart.name}", "lens") for chart in board.charts]
    views = [
        Reference(choice.view.id(prefix), f"controlGroup_{choice.field}:optionsListDataView", "index-pattern")
        for choice in board.choices
    ]
    return saved_object("dashboard", board.id(prefix), attributes, [*charts, *views])


def _panels(board: Dashboard) -> list[dict[str, Any]]:
    panels = []
    y = 0
    for row in board.rows:
        x = 0
        for tile in row:
            name = tile.chart.name
            panels.append(
                {
                    "type": "lens",
                    "title": tile.chart.title,
                    "panelIndex": name,
                    "panelRefName": f"panel_{name}",
                    "gridData": {"x": x, "y": y, "w": tile.width, "h": tile.height, "i": name},
                    "embeddableConfig": {"enhancements": {}},
                }
            )
            x += tile.width
        y += max(tile.height for tile in row)
    return panels


def _controls(board: Dashboard) -> dict[str, Any]:
    panels = {
        choice.field: {
            "type": "optionsListControl",
            "order": order,
            "grow": True,
            "width": "large",
            "explicitInput": {
                "id": choice.field,
                "fieldName": choice.field,
                "title": choice.title,
                "singleSelect": choice.single,
                "selectedOptions": [],
                "searchTechnique": "prefix",
                "sort": {"by": "_key", "direction": "desc" if choice.single else "asc"},
            },
        }
        for order, choice in enumerate(board.choices)
    }
    return {
        "chainingSystem": "HIERARCHICAL",
        "controlStyle": "oneLine",
        "ignoreParentSettingsJSON": compact(
            {"ignoreFilters": False, "ignoreQuery": False, "ignoreTimerange": False, "ignoreValidations": False}
        ),
        "panelsJSON": compact(panels),
        "showApplySelections": False,
    }
