"""All saved objects, for one installation."""

from __future__ import annotations

from pathlib import Path

from kibana.charts import Chart, lens
from kibana.dashboards import Dashboard, dashboard
from kibana.jobs_now import JOBS_NOW
from kibana.objects import SavedObject, ndjson
from kibana.one_job import ONE_JOB
from kibana.row_errors import ROW_ERRORS
from kibana.views import View, data_view

DASHBOARDS: tuple[Dashboard, ...] = (JOBS_NOW, ONE_JOB, ROW_ERRORS)
CHARTS: dict[str, Chart] = {chart.name: chart for board in DASHBOARDS for chart in board.charts}
PREFIX = "sluice"
FILE = Path(__file__).with_name("sluice.ndjson")
"""The objects of the default prefix, for an import by hand."""


def saved_objects(prefix: str = PREFIX) -> list[SavedObject]:
    """Data views, charts and dashboards; each object stands after those it refers to."""
    return [
        *(data_view(prefix, view) for view in View),
        *(lens(prefix, chart) for chart in CHARTS.values()),
        *(dashboard(prefix, board) for board in DASHBOARDS),
    ]


def text(prefix: str = PREFIX) -> str:
    """The file to import."""
    return ndjson(saved_objects(prefix))
