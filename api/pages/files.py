"""The page's own files, which everyone gets: style sheet, scripts, icon. And the files of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from api.jobs.downloads import errors_csv, result_file
from api.pages.gate import HEADERS
from api.web.services import services, visible_job

STATIC: Final = Path(__file__).parent.parent / "static"


class StaticOfPage(StaticFiles):
    """Files with the headers of pages; browsers ask each time whether theirs is still the newest."""

    def file_response(self, *args: Any, **more: Any) -> Response:
        """A file, or that the browser has it."""
        answer = super().file_response(*args, **more)
        answer.headers.update({**HEADERS, "Cache-Control": "no-cache"})
        return answer


async def send_errors_csv(request: Request) -> Response:
    """All of a job's row errors, as CSV."""
    return await errors_csv(services(request), await visible_job(request))


async def send_result(request: Request) -> Response:
    """The CSV that an export made."""
    job, storage = await visible_job(request), services(request).storage
    return await result_file(storage, job, request.headers, request.method == "HEAD")
