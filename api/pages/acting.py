"""The buttons of a job: each handler sends the command that REST sends, and shows the job after it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from api.jobs.actions import carry_out, change_rate
from api.jobs.creation.drafts import is_draft, start_draft
from api.jobs.creation.retry_errors import take_corrections
from api.jobs.reading.dry_runs import start_real
from api.models.requests import ActionRequest, Rate, Start
from api.pages import rendering
from api.pages.creation.forms import rate_in, reason_in, time_in_form
from api.pages.fields import fields_of
from api.pages.job import live
from api.web.parsing import values_as
from api.web.routing import Handler
from api.web.services import caller, services_of, visible_job
from schemas.job import Job


def acting(action: str) -> Handler:
    """The handler of pause, resume, terminate or rollback."""

    async def handler(request: Request) -> Response:
        job, fields = await visible_job(request), await fields_of(request)
        asked = {"keep_rows": fields.get("rows") == "keep", "force": "force" in fields, "partial": "partial" in fields}
        values = {"reason": reason_in(fields), "resume_at": time_in_form(fields, "resume_at"), **asked}
        body = values_as(values, ActionRequest)
        return _job(request, await carry_out(services_of(request), job, caller(request), action, body))

    return handler


async def set_rate(request: Request) -> Response:
    """Set or lift the most rows a second."""
    job, fields = await visible_job(request), await fields_of(request)
    body = values_as({"rows_per_second": rate_in(fields), "reason": reason_in(fields)}, Rate)
    return _job(request, await change_rate(services_of(request), job, caller(request), body))


async def start(request: Request) -> Response:
    """Make the real job of a dry run, and lead to it."""
    job, fields = await visible_job(request), await fields_of(request)
    body = values_as({"reason": reason_in(fields)}, Start)
    if is_draft(job):
        return _job(request, await start_draft(request, services_of(request), job, caller(request), body))
    real, _ = await start_real(services_of(request), job, caller(request), body)
    return rendering.go_to(request, f"/jobs/{real.id}")


async def retry_errors(request: Request) -> Response:
    """Apply corrected rows."""
    job = await visible_job(request)
    return _job(request, await take_corrections(request, services_of(request), job, caller(request), None, form=True))


def _job(request: Request, job: Job) -> Response:
    if not rendering.wants_fragment(request):
        return rendering.go_to(request, f"/jobs/{job.id}")
    return live(request, services_of(request).view.jobs.get(job.id, job))
