"""The report of a job as a page: facts, row errors by reason, history, and all of it as a text to copy."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.glance.job_report import report_of
from api.pages import rendering
from api.pages.job import shown
from api.pages.words import happened
from api.web.services import services_of, visible_job
from runtime.text.report_text import report_text


async def show_report(request: Request) -> Response:
    """The whole page."""
    job, services = await visible_job(request), services_of(request)
    found = await report_of(services, job)
    return rendering.page(
        request,
        "report.html",
        **shown(request, job)
        | {
            "report": found,
            "text": report_text(msgspec.to_builtins(found)),
            "happened": [(entry, happened(entry)) for entry in found.history],
        },
    )
