"""Dashboard "Jobs now": the jobs that have not ended, their progress, and rows per second."""

from __future__ import annotations

from kibana.charts import Chart, Figure, Series, Table
from kibana.columns import PERCENT, count, each, highest, lanes, newest, over_time, per_second
from kibana.dashboards import Choice, Dashboard, Tile
from kibana.views import View
from schemas.job import ENDED, State

JOBS = 50
LINES = 10


def any_of(field: str, values: list[str]) -> str:
    """KQL: the field has one of these values."""
    alternatives = " or ".join(f'"{value}"' for value in values)
    return f"{field} : ({alternatives})"


NOT_OVER = any_of("state", [state for state in State if state not in ENDED])

STATES = Chart(
    name="jobs-not-over-by-state",
    title="Jobs that are not over",
    description="How many jobs are in each state, whenever they were made. Those that have ended are not counted.",
    view=View.JOBS,
    columns={"state": each("state", "State", len(State), by="jobs"), "jobs": count("Jobs")},
    look=Figure("jobs", split="state"),
    query=NOT_OVER,
)

QUEUE = Chart(
    name="jobs-not-over",
    title="The jobs that are not over",
    description="The newest jobs that have not ended, whenever they were made, each with its state.",
    view=View.JOBS,
    columns={
        "job": each("id", "Job", JOBS, newest="created_at"),
        "state": each("state", "State", 1),
        "operation": each("operation", "Operation", 1),
        "dataset": each("dataset", "Dataset", 1),
        "organisation": each("organisation", "Organisation", 1),
        "reason": each("reason", "Reason", 1, missing=True),
        "created": highest("created_at", "Created", data_type="date"),
        "rows": highest("rows_total", "Rows of its input"),
    },
    look=Table(),
    query=NOT_OVER,
)

STANDING = Chart(
    name="progress-by-job",
    title="Progress of each job",
    description="Jobs that did something in the chosen time, the last ones first. The time has to reach back to their "
    "beginning. Counts are of all of a job's lanes together.",
    view=View.PROGRESS,
    columns={
        "job": each("job_id", "Job", JOBS, newest="at"),
        "lane": lanes(),
        "done": highest("share", "Done", shown=PERCENT),
        "applied": highest("totals.rows_applied", "Rows applied"),
        "failed": newest("refused", "Rows refused"),
        "undone": highest("totals.rows_undone", "Rows rolled back"),
        "waiting": newest("parked_blocks", "Blocks waiting"),
    },
    look=Table(total_over="lane"),
)


def _rate(name: str, title: str, field: str) -> Chart:
    return Chart(
        name=name,
        title=title,
        description=f"The {LINES} jobs with the most rows in the chosen time.",
        view=View.PROGRESS,
        columns={"job": each("job_id", "Job", LINES, by="rate"), "time": over_time(), "rate": per_second(field, title)},
        look=Series("time", ("rate",), "line", split="job"),
    )


APPLIED_RATE = _rate("rows-applied-per-second", "Rows applied per second", "added.rows_applied")
UNDONE_RATE = _rate("rows-rolled-back-per-second", "Rows rolled back per second", "added.rows_undone")

JOBS_NOW = Dashboard(
    name="jobs-now",
    title="Jobs now",
    description="Jobs that are not over, how each stands, and how fast rows go.",
    rows=(
        (Tile(STATES, 48, 7),),
        (Tile(QUEUE, 48, 12),),
        (Tile(STANDING, 48, 12),),
        (Tile(APPLIED_RATE, 24, 14), Tile(UNDONE_RATE, 24, 14)),
    ),
    choices=(
        Choice("organisation", "Organisation", View.PROGRESS),
        Choice("dataset", "Dataset", View.PROGRESS),
        Choice("operation", "Operation", View.PROGRESS),
    ),
)
