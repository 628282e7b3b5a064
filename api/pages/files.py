"""The page's own files, which everyone gets: style sheet, scripts, icon. And the files of a job."""

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

from api.jobs.downloads import errors_csv, result_file
from api.pages.gate import HEADERS
from api.web.services import services, visible_job

STATIC: Final = Path(__file__).parent.parent / "static"


class StaticOfPage(StaticFiles):
    """Files with the headers of pages; browsers ask each time whether theirs is still the newest."""

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """A file, or that the browser has it."""
        etag = _etag(str(full_path), stat_result.st_mtime_ns, stat_result.st_size)
        headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": etag}
        answer = FileResponse(full_path, status_code, headers, stat_result=stat_result)
        known = self.is_not_modified(answer.headers, Headers(scope=scope))
        return Response(status_code=304, headers=headers) if known else answer


@lru_cache
def _etag(path: str, modified_ns: int, size: int) -> str:
    """Of the content: Starlette's own goes by time and size, and installed files may all have the same time."""
    return f'"{sha256(Path(path).read_bytes()).hexdigest()[:32]}"'


async def send_errors_csv(request: Request) -> Response:
    """All of a job's row errors, as CSV."""
    return await errors_csv(services(request), await visible_job(request))


async def send_result(request: Request) -> Response:
    """The CSV that an export made."""
    job, storage = await visible_job(request), services(request).storage
    return await result_file(storage, job, request.headers, request.method == "HEAD")
