"""The forms that start a job."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError, invalid
from api.jobs.create import from_form, from_json, id_for, ready_to_create
from api.pages.fields import fields_of
from api.pages.forms import job_json
from api.pages.rendering import go_to
from api.pages.start_forms import source_of
from api.uploads.multipart import boundary_of
from api.web.services import caller, services
from schemas.job import Job


async def start_job(request: Request) -> Response:
    """Start a job of the operation that the path names, with the file that is sent along where it takes one."""
    operation, parts = request.path_params["operation"], services(request)
    kind = parts.catalog.operations.get(operation)
    if kind is None:
        raise ApiError(404, f"there is no operation {operation[:80]!r} here; open the page anew")
    asking = caller(request)
    await ready_to_create(parts)
    job_id = id_for(asking, request.query_params.get("key"))
    if source_of(kind) != "file":
        data = job_json(await fields_of(request), operation, kind)
        return await _made(request, from_json(request, data, parts, asking, job_id))
    boundary = boundary_of(request.headers.get("content-type", ""))
    if boundary is None:
        raise invalid("the form was sent without its file; open the page anew and send it again")
    describe = partial(job_json, operation=operation, kind=kind)
    return await _made(request, from_form(request, parts, asking, job_id, boundary, describe))


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
