"""Routes that sum a job up: its row errors by reason, its rows over time, its report."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from api.glance.error_groups import groups_of
from api.glance.job_report import report_of
from api.glance.models import ErrorGroups, JobReport, Series
from api.glance.rows_over_time import series_of
from api.routes.answers import JOB
from api.web.responses import json_answer
from api.web.routing import Answer, Endpoint, refusal
from api.web.services import services_of, visible_job
from schemas.policies.principals import Role


async def get_error_groups(request: Request) -> Response:
    """A job's row errors by column and reason."""
    job, services = await visible_job(request), services_of(request)
    return json_answer(await groups_of(services, job))


async def get_series(request: Request) -> Response:
    """A job's rows over time."""
    return json_answer(await series_of(request, await visible_job(request)))


async def get_report(request: Request) -> Response:
    """What was asked of a job, and what came of it."""
    job, services = await visible_job(request), services_of(request)
    return json_answer(await report_of(services, job))


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        f"{JOB}/report",
        get_report,
        "getReport",
        "What was asked, by whom, what happened, counts, row errors by reason, times",
        (Answer(200, "The report; of a job that has not ended, as it is now", JobReport),),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        f"{JOB}/series",
        get_series,
        "getSeries",
        "Rows a second and rows done over time, and what happened meanwhile",
        (Answer(200, "The points, oldest first", Series),),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        f"{JOB}/errors/groups",
        get_error_groups,
        "getErrorGroups",
        "Row errors by column and reason, the largest group first",
        (Answer(200, "The groups", ErrorGroups), refusal(404, "There is no such job, or its row errors were removed")),
        role=Role.VIEWER,
    ),
)
