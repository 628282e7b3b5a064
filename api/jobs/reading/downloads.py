"""The files of a job: its row errors as CSV, and the result of an export, whole or a range of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.utils import formatdate

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from api.errors import ApiError, RemovedError, require_kept, unavailable
from api.jobs.reading.changes import changes_csv
from api.jobs.reading.row_errors import csv_pages
from api.jobs.reading.undone import Bucket, undone_csv
from api.web.services import Services
from runtime.files.storage import Storage, StorageError, Stored
from schemas.exports import result_path
from schemas.indices import index_name
from schemas.job import Job, State

_CSV = "text/csv; charset=utf-8"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z", re.ASCII)
"""Positions with more digits lie beyond the end of any file; a header that has one is ignored."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a file from `start` up to `end`."""

    start: int
    end: int


async def errors_csv(services: Services, job: Job) -> Response:
    """All of a job's row errors, as CSV. Raises as `csv_pages`, and RemovedError."""
    require_kept(job, "row_errors")
    dataset = services.catalog.datasets.get(job.dataset)
    columns = dataset.columns if dataset else ()
    index = index_name(services.settings.prefix, "errors")
    pages = csv_pages(services.documents, index, job.id, columns, job.options.raw)
    return await _csv(job, "errors", pages)


async def changes_file(services: Services, job: Job) -> Response:
    """All that a dry run would change, as CSV. Raises as `changes_csv`."""
    return await _csv(job, "changes", changes_csv(services, job))


async def undone_file(services: Services, job: Job, buckets: tuple[Bucket, ...]) -> Response:
    """What a rollback has done with each row, as CSV. Raises as `undone_csv`."""
    return await _csv(job, "undone", undone_csv(services, job, buckets))


async def _csv(job: Job, name: str, pages: AsyncIterator[bytes]) -> Response:
    # The first page is fetched before the answer begins, so that a failure can still become an error status.
    first = await anext(pages)
    headers = {"Content-Disposition": f'attachment; filename="{job.id}-{name}.csv"'}
    return StreamingResponse(_from(first, pages), headers=headers, media_type=_CSV)


async def _from(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


async def result_file(storage: Storage, job: Job, asked: Headers, head_only: bool) -> Response:
    """The CSV that an export made, or the range of it that the headers of the request ask for.

    Raises:
        ApiError: 404 or 409, there is none (yet); 416, the range lies beyond its end; 503, storage does not answer.
    """
    problem = result_problem(job)
    if problem is not None:
        raise problem
    path = result_path(job.id)
    try:
        stored = await storage.find(path)
    except StorageError as error:
        raise unavailable(f"{error}; try again") from error
    if stored is None:
        raise ApiError(404, f"the file of job {job.id} is not in storage any more; start the export again")
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="{job.id}.csv"',
        "ETag": stored.etag,
        "Last-Modified": formatdate(stored.modified, usegmt=True),
    }
    if stored.etag in [tag.strip().removeprefix("W/") for tag in asked.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    part = wanted(asked.get("range"), asked.get("if-range"), stored)
    whole = part is None
    part = part or Part(0, stored.size)
    headers["Content-Length"] = str(part.end - part.start)
    if not whole:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{stored.size}"
    code = 200 if whole else 206
    if head_only or part.start == part.end:
        return Response(status_code=code, headers=headers, media_type=_CSV)
    # If reading fails halfway the server closes the connection; the caller sees that by Content-Length.
    content = storage.read(path, part.start, part.end)
    return StreamingResponse(content, code, headers, media_type=_CSV)


def result_problem(job: Job) -> ApiError | None:
    """Why a job has no file to download; None: it has one. Pure."""
    details = {"state": job.state}
    if job.source.kind != "query":
        return ApiError(404, f"job {job.id} has no file; only exports have one", details)
    try:
        require_kept(job, "results")
    except RemovedError as error:
        return error
    match job.state:
        case State.COMPLETED:
            return None
        case State.ROLLED_BACK | State.ROLLING_BACK | State.ROLLBACK_PAUSED | State.TERMINATING | State.TERMINATED:
            return ApiError(404, f"job {job.id} is {job.state}: its file is not there any more, or never was", details)
        case State.FAILED:
            return ApiError(409, f"job {job.id} has FAILED, so there is no file: {job.reason}", details)
        case _:
            return ApiError(409, f"job {job.id} is {job.state}: its file is there once it is COMPLETED", details)


def wanted(header: str | None, if_range: str | None, stored: Stored) -> Part | None:
    """The part that a Range header asks for; None: the whole file, also for a header with several ranges.

    Raises:
        ApiError: 416, the range lies beyond the end.
    """
    found = _RANGE.match(header.replace(" ", "")) if header else None
    if found is None or (if_range is not None and if_range != stored.etag):
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:
        start, end = max(0, stored.size - int(last)), stored.size
    else:
        start, end = int(first), min(int(last) + 1, stored.size) if last else stored.size
        if last and int(last) < int(first):
            return None  # RFC 9110: an invalid range is ignored
    if start >= end:
        text = f"the file has {stored.size} bytes; ask for bytes within it"
        raise ApiError(416, text, headers={"Content-Range": f"bytes */{stored.size}"})
    return Part(start, end)
