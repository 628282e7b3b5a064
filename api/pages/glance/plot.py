"""The part of a job's page that shows its rows over time: two drawings, what happened meanwhile, and all as a table."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from api.glance.models import Mark, Series
from api.glance.rows_over_time import series_of
from api.jobs.reading.job_view import progress
from api.pages.glance import drawing
from api.pages.job import part_of_job
from api.pages.words import moment
from api.web.services import Services
from runtime.clock import now_ms
from runtime.text.formatting import duration, number, spaced
from schemas.job import Job

_SURELY_FOUND_MS: Final = 60_000


async def show_plot(request: Request) -> Response:
    """The drawings and the table."""

    async def found(services: Services, job: Job) -> dict[str, Any]:
        series = await series_of(request, job)
        return {**_shown(series), "behind": _is_behind(series, services, job)}

    return await part_of_job(request, "plot.html", found)


def _is_behind(series: Series, services: Services, job: Job) -> bool:
    """Whether records of a job at rest are still to come: they are found some seconds after the rows they count."""
    if job.ended_at is not None and now_ms() - job.ended_at > _SURELY_FOUND_MS:
        return False
    done = progress(job, services.view.lanes(job.id), None)
    return bool(series.points) and series.points[-1].rows_done < done.rows_applied + done.rows_failed


def _shown(series: Series) -> dict[str, Any]:
    return {
        "series": series,
        "told": told(series),
        "rates": drawing.rates(series),
        "sums": drawing.sums(series),
        "undone": any(point.rows_undone for point in series.points),
        "marks": [{"mark": mark, "text": marked(mark)} for mark in series.marks],
        "each": duration(series.interval_seconds),
    }


def told(series: Series) -> str:
    """The drawings in a sentence, for those who do not see them."""
    if not series.points:
        return "The job has not started."
    best = max(series.points, key=lambda point: point.rows_per_second)
    return (
        f"From {moment(series.since)} to {moment(series.until)}: at most {number(best.rows_per_second)} rows a second, "
        f"{number(series.points[-1].rows_done)} of {number(series.rows_total)} rows done. The table has the numbers."
    )


def marked(mark: Mark) -> str:
    """A mark in words."""
    text = "Partitions went to another worker" if mark.event == "WorkersChanged" else spaced(mark.event)
    return f"{text}, by {mark.by}" if mark.by else text
