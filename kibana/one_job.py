"""Dashboard "One job": its state, its progress by lane, and its row errors."""

from __future__ import annotations

from kibana.charts import Chart, Figure, Series, Table
from kibana.columns import LANES, PERCENT, Column, count, each, highest, lanes, newest, over_time, per_second
from kibana.dashboards import Choice, Dashboard, Tile
from kibana.views import View

SHOWN = 20

ABOUT = Chart(
    name="job",
    title="The job",
    description="As its state was written last. Counts are there once the job has ended; until then look below.",
    view=View.JOBS,
    columns={
        "job": each("id", "Job", SHOWN, newest="created_at"),
        "state": each("state", "State", 1),
        "operation": each("operation", "Operation", 1),
        "dataset": each("dataset", "Dataset", 1),
        "organisation": each("organisation", "Organisation", 1),
        "by": each("created_by", "Made by", 1),
        "reason": each("reason", "Reason", 1, missing=True),
        "created": highest("created_at", "Created", data_type="date"),
        "ended": highest("ended_at", "Ended", data_type="date"),
        "seconds": highest("duration_seconds", "Seconds"),
        "rows": highest("rows_total", "Rows of its input"),
        "applied": highest("rows_applied", "Rows applied"),
        "failed": highest("rows_failed", "Rows refused"),
        "undone": highest("rows_undone", "Rows rolled back"),
    },
    look=Table(),
)


def _total(name: str, title: str, column: Column, description: str) -> Chart:
    """A count of the whole job: the sum of the highest value of each lane."""
    return Chart(
        name=name,
        title=title,
        description=description,
        view=View.PROGRESS,
        columns={"lane": lanes(), "total": column},
        look=Figure("total", split="lane", total=True),
    )


DONE = _total(
    "share-done",
    "Done",
    highest("share", "Done", shown=PERCENT),
    "Rows applied or refused, of the rows of the job's input. Empty while it is not known how many these are.",
)
APPLIED = _total(
    "rows-applied", "Rows applied", highest("totals.rows_applied", "Rows applied"), "Of all lanes and runs together."
)
UNDONE = _total(
    "rows-rolled-back",
    "Rows rolled back",
    highest("totals.rows_undone", "Rows rolled back"),
    "Of all lanes and rounds together.",
)
REFUSED = Chart(
    name="rows-refused",
    title="Rows refused",
    description="Row errors that stand; a row that has been corrected and applied since is none.",
    view=View.ERRORS,
    columns={"errors": count("Rows refused")},
    look=Figure("errors"),
)


def _by_lane(name: str, title: str, column: Column, description: str) -> Chart:
    return Chart(
        name=name,
        title=title,
        description=description,
        view=View.PROGRESS,
        columns={"lane": lanes(), "time": over_time(), "value": column},
        look=Series("time", ("value",), "area_stacked", split="lane", carry=True),
    )


GROWTH = _by_lane(
    "rows-applied-by-lane",
    "Rows applied, by lane",
    highest("totals.rows_applied", "Rows applied"),
    "Lanes are stacked, so that the upper edge is the job. A lane is named <job>/<partition>, and in a retry "
    "<job>/<partition>/<run>.",
)
WAITING = _by_lane(
    "blocks-waiting-by-lane",
    "Blocks waiting, by lane",
    highest("parked_blocks", "Blocks waiting"),
    "Blocks that a worker has met and not applied yet: the most in each interval. A lane with nothing new to report "
    "keeps its last value.",
)

RATES = Chart(
    name="rates",
    title="Rows per second",
    description="Of all lanes together.",
    view=View.PROGRESS,
    columns={
        "time": over_time(),
        "applied": per_second("added.rows_applied", "Applied"),
        "failed": per_second("added.rows_failed", "Refused"),
        "undone": per_second("added.rows_undone", "Rolled back"),
    },
    look=Series("time", ("applied", "failed", "undone"), "line"),
)

BY_LANE = Chart(
    name="lanes",
    title="Lanes",
    description="Each partition of the job, and each run that is not its first.",
    view=View.PROGRESS,
    columns={
        "lane": each("lane", "Lane", LANES),
        "applied": highest("totals.rows_applied", "Rows applied"),
        "failed": highest("totals.rows_failed", "Rows refused"),
        "undone": highest("totals.rows_undone", "Rows rolled back"),
        "waiting": newest("parked_blocks", "Blocks waiting"),
        "last": highest("at", "Last report", data_type="date"),
    },
    look=Table(),
)


def errors_by(name: str, title: str, field: str) -> Chart:
    """Row errors that have the same value of a field."""
    return Chart(
        name=name,
        title=title,
        description=f"The {SHOWN} most frequent ones.",
        view=View.ERRORS,
        columns={"value": each(field, title, SHOWN, by="errors"), "errors": count("Rows refused")},
        look=Series("value", ("errors",), "bar_horizontal_stacked"),
    )


BY_REASON = errors_by("row-errors-by-reason", "Row errors by reason", "reason")
BY_COLUMN = errors_by("row-errors-by-column", "Row errors by column", "column")

ONE_JOB = Dashboard(
    name="one-job",
    title="One job",
    description="Choose a job above; the time has to reach back to its beginning.",
    rows=(
        (Tile(ABOUT, 48, 8),),
        (Tile(DONE, 12, 6), Tile(APPLIED, 12, 6), Tile(REFUSED, 12, 6), Tile(UNDONE, 12, 6)),
        (Tile(GROWTH, 24, 14), Tile(RATES, 24, 14)),
        (Tile(WAITING, 24, 14), Tile(BY_LANE, 24, 14)),
        (Tile(BY_REASON, 24, 12), Tile(BY_COLUMN, 24, 12)),
    ),
    choices=(Choice("job_id", "Job", View.PROGRESS, single=True),),
    since="now-7d",
)
