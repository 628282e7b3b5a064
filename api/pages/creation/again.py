"""The page from which a job's file is applied again, with other options."""

from __future__ import annotations

import secrets
import threading
from typing import Any, Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError
from api.jobs.creation.again import require_file
from api.jobs.creation.create import receive_again
from api.jobs.creation.job_request import Admission
from api.models.requests import Elsewhere
from api.pages import rendering
from api.pages.creation.columns import stored_table
from api.pages.creation.forms import form_of_options, job_request
from api.pages.creation.starting import started
from api.pages.fields import fields_of
from api.pages.start_forms import start_forms
from api.uploads.upload import Upload
from api.web.services import services_of, visible_job
from control.creation.admission import Kind
from schemas.job import FORMAT_OPTIONS, MODE_OPTIONS, Job
from schemas.messages.commands import CreateJob

_GIVEN: Final = frozenset(
    {"dry_run", "max_errors", "rows_per_second", "if_busy", "if_same", "raw", "columns"}
    | {"suspicions", "notify", *MODE_OPTIONS, *FORMAT_OPTIONS}
)
"""Options that the form has; others are as the job had them."""


async def show_again(request: Request) -> Response:
    """The form, filled in with what the job had."""
    job, services = await visible_job(request), services_of(request)
    kind = _kind(request, job)
    require_file(job)
    form = next(form for form in start_forms(services.catalog) if form.operation == job.operation)
    found = job.suspicion.columns_option if job.suspicion is not None and "mended" in request.query_params else None
    values = form_of_options(job.options if found is None else replace(job.options, columns=found))

    def read(_stop: threading.Event) -> dict[str, Any]:
        return stored_table(values, job, services.catalog, services.settings.storage_root)

    table = await services.looks.run(request, job.organisation, read)
    return rendering.page(
        request, "again.html", job=job, form=form, kind=kind, values=values, key=secrets.token_urlsafe(16), **table
    )


async def send_again(request: Request) -> Response:
    """Make the job."""
    job = await visible_job(request)
    kind = _kind(request, job)
    fields = await fields_of(request)

    async def receive(request: Request, admission: Admission, upload: Upload) -> CreateJob:
        asked = replace(job_request(fields, job.operation, kind), source=Elsewhere(job=job.id), organisation=None)
        return await receive_again(request, admission, upload, replace(asked, dataset=None), job.id, _GIVEN)

    return await started(request, receive)


def _kind(request: Request, job: Job) -> Kind:
    kind = services_of(request).catalog.operations.get(job.operation)
    if kind is None:
        raise ApiError(404, f"there is no operation {job.operation} here any more")
    return kind
