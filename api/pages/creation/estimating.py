"""The part of an export's form that says how large the export would be."""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError
from api.jobs.creation.estimates import estimate_of
from api.jobs.creation.job_request import Admission
from api.pages.creation.forms import job_request
from api.pages.fields import fields_of
from api.pages.rendering import fragment
from api.web.services import caller, services_of
from runtime.clock import now_ms
from schemas.ids import new_job_id


async def show_estimate(request: Request) -> Response:
    """The estimate for the form as it is filled in; empty as long as its first day is."""
    operation, services, fields = request.path_params["operation"], services_of(request), await fields_of(request)
    kind = services.catalog.operations.get(operation)
    if kind is None:
        raise ApiError(404, f"there is no operation {operation[:80]!r} here; open the page anew")
    if not fields.get("from"):
        return fragment("estimate.html", estimate=None, problem=None)
    admission = Admission(new_job_id(now_ms(), secrets.randbits(35)), caller(request), services.catalog)
    try:
        found = await estimate_of(services, admission, job_request(fields, operation, kind))
    except ApiError as error:
        return fragment("estimate.html", estimate=None, problem=error.message)
    return fragment("estimate.html", estimate=found, problem=None)
