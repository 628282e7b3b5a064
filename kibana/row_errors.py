"""Dashboard "Row errors": refused rows over time, by job, column and reason."""

from __future__ import annotations

from kibana.charts import Chart, Series, Table
from kibana.columns import count, each, over_time
from kibana.dashboards import Choice, Dashboard, Tile
from kibana.one_job import BY_COLUMN, BY_REASON, REFUSED
from kibana.views import View

LINES = 10
VALUES = 20

OVER_TIME = Chart(
    name="row-errors-over-time",
    title="Row errors over time",
    description=f"The {LINES} jobs with the most of them.",
    view=View.ERRORS,
    columns={"job": each("job_id", "Job", LINES, by="errors"), "time": over_time(), "errors": count("Rows refused")},
    look=Series("time", ("errors",), "bar_stacked", split="job"),
)
BY_JOB = Chart(
    name="row-errors-by-job",
    title="Row errors by job",
    description="The jobs with the most of them.",
    view=View.ERRORS,
    columns={
        "job": each("job_id", "Job", 50, by="errors"),
        "organisation": each("organisation", "Organisation", 1),
        "errors": count("Rows refused"),
    },
    look=Table(),
)
BY_VALUE = Chart(
    name="row-errors-by-value",
    title="Refused values",
    description="The most frequent reasons, of each the most frequent columns, of each the most frequent values. "
    "The API has all of them, row by row.",
    view=View.ERRORS,
    columns={
        "reason": each("reason", "Reason", VALUES, by="errors"),
        "column": each("column", "Column", 5, by="errors", missing=True),
        "value": each("value", "Value", VALUES, by="errors", missing=True),
        "errors": count("Rows refused"),
    },
    look=Table(),
)

ROW_ERRORS = Dashboard(
    name="row-errors",
    title="Row errors",
    description="Rows that were refused, and why. Errors of rows that have been corrected since are not among them.",
    rows=(
        (Tile(REFUSED, 12, 12), Tile(OVER_TIME, 36, 12)),
        (Tile(BY_REASON, 24, 12), Tile(BY_COLUMN, 24, 12)),
        (Tile(BY_VALUE, 32, 16), Tile(BY_JOB, 16, 16)),
    ),
    choices=(
        Choice("organisation", "Organisation", View.ERRORS),
        Choice("job_id", "Job", View.ERRORS),
        Choice("column", "Column", View.ERRORS),
    ),
    since="now-7d",
)
