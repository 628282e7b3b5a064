"""A job's row errors on the page: by reason first, and the rows of a reason behind it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.glance.error_groups import groups_of
from api.glance.models import ErrorGroup, ErrorGroups
from api.jobs.reading.paging import whole_number
from api.jobs.reading.queries import errors_of
from api.pages.job import part_of_job
from api.web.services import Services
from runtime.text.formatting import number
from schemas.job import Job

_ROWS = 50
_LAST_ROW = 2**62


async def show_errors(request: Request) -> Response:
    """The row errors by reason; with ``like=ROW`` the rows that have the reason of this one."""
    like, after = request.query_params.get("like"), request.query_params.get("after")
    if like is None:
        return await part_of_job(request, "errors.html", _groups)
    row = whole_number("like", like, 0, _LAST_ROW)
    behind = None if after is None else whole_number("after", after, 0, _LAST_ROW)

    async def rows(services: Services, job: Job) -> dict[str, Any]:
        return {"like": row, "errors": await errors_of(services, job, _ROWS, behind, row)}

    return await part_of_job(request, "error_rows.html", rows)


async def _groups(services: Services, job: Job) -> dict[str, Any]:
    found = await groups_of(services, job)
    whole = job.rows_total is not None and found.rows_done >= job.rows_total
    return {"errors": found, "groups": [_shown(found, group, whole) for group in found.groups]}


def _shown(found: ErrorGroups, group: ErrorGroup, whole: bool) -> dict[str, Any]:
    # The column stands before the reason already, and most reasons begin with it.
    reason = group.reason.removeprefix(f"{group.column} ") if group.column else group.reason
    percent = round(100 * group.share, 1)
    return {"group": group, "reason": reason, "percent": percent, "told": told(found, group, whole)}


def told(found: ErrorGroups, group: ErrorGroup, whole: bool) -> str:
    """How many of the job's rows have the reason, in words; `whole`: the job has dealt with all its rows."""
    if not found.rows_done:
        return f"{number(group.rows)} rows"
    return f"{number(group.rows)} of {'' if whole else 'the first '}{number(found.rows_done)} rows"
