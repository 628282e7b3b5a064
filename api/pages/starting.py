"""The forms that start a job."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError, invalid
from api.jobs.create import from_form, from_json, id_for, ready_to_create
from api.pages.fields import fields_of
from api.pages.forms import export_json, teams_json, upload_json
from api.pages.rendering import go_to
from api.uploads.multipart import boundary_of
from api.uploads.receiving import Describe
from api.web.auth import Caller
from api.web.services import caller, services
from schemas.job import Job


async def start_upload(request: Request) -> Response:
    """Start an upload with the file that is sent along."""
    return await _with_file(request, upload_json)


async def start_teams(request: Request) -> Response:
    """Start the creation of teams with the file that is sent along."""
    return await _with_file(request, teams_json)


async def start_export(request: Request) -> Response:
    """Start an export."""
    asking, job_id = await _ready(request)
    data = export_json(await fields_of(request))
    return await _made(request, from_json(request, data, services(request), asking, job_id))


async def _with_file(request: Request, describe: Describe) -> Response:
    asking, job_id = await _ready(request)
    boundary = boundary_of(request.headers.get("content-type", ""))
    if boundary is None:
        raise invalid("the form was sent without its file; open the page anew and send it again")
    return await _made(request, from_form(request, services(request), asking, job_id, boundary, describe))


async def _ready(request: Request) -> tuple[Caller, str]:
    asking = caller(request)
    await ready_to_create(services(request))
    return asking, id_for(asking, request.query_params.get("key"))


async def _made(request: Request, making: Awaitable[Job]) -> Response:
    try:
        job = await making
    except ApiError as error:
        if error.code != 422:
            raise
        # An operator knows of forms, not of their keys.
        text = "this form has started another job already; open the page of all jobs anew to start one more"
        raise ApiError(422, text, error.details) from error
    return go_to(request, f"/jobs/{job.id}")
