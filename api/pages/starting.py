"""The forms that start a job."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError, invalid
from api.jobs.create import Receive, id_for, make_job, ready_to_create, receive_form
from api.jobs.job_request import Admission
from api.pages.fields import fields_of
from api.pages.file_form import Ask, FileForm
from api.pages.forms import export_request, teams_request, upload_request
from api.pages.rendering import go_to
from api.uploads.multipart import boundary_of
from api.uploads.upload import Upload
from api.web.services import caller, services
from schemas.commands import CreateJob


async def start_upload(request: Request) -> Response:
    """Start an upload with the file that is sent along."""
    return await _started(request, _with_file(request, upload_request))


async def start_teams(request: Request) -> Response:
    """Start the creation of teams with the file that is sent along."""
    return await _started(request, _with_file(request, teams_request))


async def start_export(request: Request) -> Response:
    """Start an export."""

    async def receive(request: Request, admission: Admission, _: Upload) -> CreateJob:
        return admission.command(export_request(await fields_of(request)), None)

    return await _started(request, receive)


def _with_file(request: Request, ask: Ask) -> Receive:
    boundary = boundary_of(request.headers.get("content-type", ""))
    if boundary is None:
        raise invalid("the form was sent without its file; open the page anew and send it again")
    return partial(receive_form, boundary=boundary, kind=partial(FileForm, ask=ask))


async def _started(request: Request, receive: Receive) -> Response:
    await ready_to_create(services(request))
    try:
        job = await make_job(request, id_for(caller(request), request.query_params.get("key")), receive)
    except ApiError as error:
        if error.code != 422:
            raise
        # An operator knows of forms, not of their keys.
        text = "this form has started another job already; open the page of all jobs anew to start one more"
        raise ApiError(422, text, error.details) from error
    return go_to(request, f"/jobs/{job.id}")
