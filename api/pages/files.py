"""The page's static files (style sheet, scripts, icon), which need no key; and the files of a job."""

from __future__ import annotations

import os
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import Scope

from api.errors import ApiError
from api.jobs.creation.draft_room import draft_file
from api.jobs.creation.drafts import file_part, require_draft, take_part
from api.jobs.reading.downloads import changes_file, errors_csv, result_file, undone_file
from api.jobs.reading.undone import BUCKETS
from api.pages.access.gate import HEADERS
from api.web.responses import json_answer, refusal_response
from api.web.services import caller, services_of, visible_job

STATIC: Final = Path(__file__).parent.parent / "static"


class StaticOfPage(StaticFiles):
    """Static files with the headers of pages. A browser revalidates its copy each time (``no-cache`` and an ETag)."""

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file, or 304 if the browser has it."""
        etag = _etag(str(full_path), stat_result.st_mtime_ns, stat_result.st_size)
        headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": etag}
        answer = FileResponse(full_path, status_code, headers, stat_result=stat_result)
        unchanged = self.is_not_modified(answer.headers, Headers(scope=scope))
        return Response(status_code=304, headers=headers) if unchanged else answer


@lru_cache
def _etag(path: str, modified_ns: int, size: int) -> str:
    """A hash of the content: Starlette's own ETag uses time and size, and installed files may all share one time."""
    return f'"{sha256(Path(path).read_bytes()).hexdigest()[:32]}"'


async def send_errors_csv(request: Request) -> Response:
    """All of a job's row errors, as CSV."""
    return await errors_csv(services_of(request), await visible_job(request))


async def send_changes_csv(request: Request) -> Response:
    """All that a dry run would change, as CSV."""
    return await changes_file(services_of(request), await visible_job(request))


async def send_undone_csv(request: Request) -> Response:
    """What a rollback has done with each row, as CSV."""
    return await undone_file(services_of(request), await visible_job(request), BUCKETS)


async def send_result(request: Request) -> Response:
    """The CSV that an export made."""
    job, storage = await visible_job(request), services_of(request).storage
    return await result_file(storage, job, request.headers, request.method == "HEAD")


async def draft_offset(request: Request) -> Response:
    """How much of the file of a draft has come, for the page's script; a refusal is JSON."""
    job, services = await visible_job(request), services_of(request)
    try:
        require_draft(job, services)
    except ApiError as error:
        return refusal_response(error)
    return json_answer(file_part(services, job, draft_file(services, job).size()))


async def take_draft_part(request: Request) -> Response:
    """The next part of the file of a draft, from the page's script; a refusal is JSON."""
    job, services = await visible_job(request), services_of(request)
    text = request.headers.get("upload-offset", "")
    offset = int(text) if text.isascii() and text.isdigit() and len(text) < 17 else -1
    try:
        return json_answer(file_part(services, job, await take_part(services, job, caller(request), offset, request)))
    except ApiError as error:
        return refusal_response(error)
