"""The forms that start a job."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError, invalid
from api.jobs.creation.create import Receive, id_for, make_job, ready_to_create, receive_form
from api.jobs.creation.estimates import require_confirmed
from api.jobs.creation.job_request import Admission
from api.mappings import require_name
from api.models.mappings import MappingBody
from api.models.requests import JobRequest
from api.pages.creation.file_form import FileForm
from api.pages.creation.forms import Fields, job_request
from api.pages.fields import fields_of
from api.pages.rendering import go_to
from api.pages.start_forms import source_of
from api.uploads.multipart import boundary_of
from api.uploads.upload import Upload
from api.web.services import caller, services_of
from control.creation.admission import Kind
from runtime.clock import now_ms
from schemas.job import Job
from schemas.messages.commands import CreateJob


async def start_job(request: Request) -> Response:
    """Start a job of the operation that the path names, with the form's file if the operation takes one."""
    operation, services = request.path_params["operation"], services_of(request)
    kind = services.catalog.operations.get(operation)
    if kind is None:
        raise ApiError(404, f"there is no operation {operation[:80]!r} here; open the page anew")
    receive = _with_file(request, operation, kind) if source_of(kind) == "file" else _without_file(operation, kind)
    return await started(request, receive)


async def started(request: Request, receive: Receive) -> Response:
    """The answer to a form that makes a job: the way to its page. Raises as `make_job`."""
    services = services_of(request)
    await ready_to_create(services)
    try:
        job = await make_job(request, id_for(caller(request), request.query_params.get("key")), receive)
    except ApiError as error:
        if error.code != 422:
            raise
        # REST's message is about the Idempotency-Key, which an operator never sees.
        text = "this form has started another job already; open the page of all jobs anew to start one more"
        raise ApiError(422, text, error.details) from error
    keep = getattr(request.state, "keep", "")
    if keep:
        await _keep_columns(request, job, keep)
    return go_to(request, f"/jobs/{job.id}")


async def _keep_columns(request: Request, job: Job, name: str) -> None:
    """Keep the job's columns as a mapping. The job is there already, and a refusal says so."""
    services, options = services_of(request), job.options
    body = MappingBody(dataset=job.dataset, columns=options.columns, set=options.set, ignore_extra=options.ignore_extra)
    try:
        await services.mappings.save(
            job.organisation,
            name,
            body,
            caller(request).name,
            now_ms(),
            services.catalog,
        )
    except ApiError as error:
        again = "send this form again to keep them: no second job is made"
        text = f"the job was started, but its columns are not kept as {name}: {error.message}; {again}"
        raise ApiError(error.code, text, {"job_id": job.id}) from error


def _with_file(request: Request, operation: str, kind: Kind) -> Receive:
    boundary = boundary_of(request.headers.get("content-type", ""))
    if boundary is None:
        raise invalid("the form was sent without its file; open the page anew and send it again")

    def requested(fields: Fields) -> JobRequest:
        keep = fields.get("keep", "").strip()
        if keep:
            require_name(keep)
        request.state.keep = keep  # what was chosen is kept once the job is made
        return job_request(fields, operation=operation, kind=kind)

    return partial(receive_form, boundary=boundary, kind=partial(FileForm, job_request_of=requested))


def _without_file(operation: str, kind: Kind) -> Receive:
    async def receive(request: Request, admission: Admission, _: Upload) -> CreateJob:
        asked = job_request(await fields_of(request), operation, kind)
        command = admission.command(asked, None)
        await require_confirmed(services_of(request), admission, asked, command)
        return command

    return receive
