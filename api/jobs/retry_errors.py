"""POST /v1/jobs/{id}/retry-errors: rows that were refused, corrected, for the same job."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from msgspec.structs import replace
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.errors import ApiError, invalid
from api.jobs.job_view import job_view
from api.jobs.retry_file import RowSet, corrected_header, rows_problem
from api.jobs.row_errors import error_numbers
from api.readmodel.command_log import submit
from api.uploads.multipart import FormReader, PartBegan, PartData, PartEnded, boundary_of, broken_off
from api.uploads.receiving import MOST_JSON_BYTES, no_file_chosen
from api.uploads.spool import SpooledFile
from api.web.auth import Caller
from api.web.responses import json_answer
from api.web.services import Services, caller, now_ms, services, visible_job
from control.errors import Rejected
from control.moves import Answer, legality
from csvfile.cutter import Limits
from csvfile.errors import CsvFileError
from csvfile.header import Header
from schemas.commands import RetryErrors
from schemas.indices import index_name
from schemas.job import Job, Source

_WRITE_BYTES = 1024 * 1024


async def retry_errors(request: Request) -> Response:
    """Apply the rows of a corrected ``errors.csv``; the file that was sent last changes nothing."""
    job, parts = await visible_job(request), services(request)
    job = await take_corrections(request, parts, job, caller(request), request.query_params.get("reason"))
    return json_answer(job_view(job, parts.view, now_ms()), 202)


async def take_corrections(
    request: Request, parts: Services, job: Job, asking: Caller, reason: str | None, form: bool = False
) -> Job:
    """The job once it has taken in the corrected rows of the body; `form`: it is a web page's, which has a reason too.

    Raises:
        ApiError: it does not take them; 503, it is not known, or can't be checked now.
    """
    if job.retry is None:
        _legal(job, RetryErrors(job_id=job.id, source=Source()))  # before megabytes are taken in for nothing
    file = SpooledFile(parts.settings.storage_root, job.id, f"retry-{secrets.token_hex(8)}.csv")
    kept = False
    try:
        name, given = await _receive(request, file, form)
        await asyncio.to_thread(file.close)
        source = replace(file.source(), name=name or "errors.csv")
        job = parts.view.jobs.get(job.id, job)
        command = RetryErrors(
            job_id=job.id, by=asking.name, reason=given or reason, source=source, errors_of_run=job.run
        )
        if _legal(job, command) == "already":
            await asyncio.to_thread(file.discard)
            return job
        columns = await _check(request, file.written, job, parts)
        source = replace(source, identity=(await asyncio.to_thread(file.keep)).identity, columns=columns)
        kept = True
        return await submit(parts.commands, parts.live, replace(command, source=source))
    except BaseException as error:
        # After a 503 the command may stand in the log, and then a reader will want the file.
        if not (kept and isinstance(error, ApiError) and error.code == 503):
            await asyncio.to_thread(file.discard, kept=kept)
        raise


def _legal(job: Job, command: RetryErrors) -> Answer:
    """What the control agent will say, as far as the state goes.

    Raises:
        ApiError: it will refuse.
    """
    answer = legality(job, command)
    if isinstance(answer, Rejected):
        raise ApiError(answer.code, answer.message, answer.details)
    return answer


async def _check(request: Request, path: Path, job: Job, parts: Services) -> dict[str, str | None] | None:
    """Which column is which in the file of corrected rows, as the job is to record it.

    Raises:
        ApiError: 400, they are not corrected rows of this job; 503, that can't be known now.
    """
    wrong = RowSet()
    async for numbers in error_numbers(parts.elasticsearch, index_name(parts.settings.prefix, "errors"), job.id):
        for number in numbers:
            wrong.add(number)
    dataset = parts.catalog.datasets[job.dataset]
    limits = Limits(parts.settings.block_rows, parts.settings.block_bytes)

    def read(_stop: threading.Event) -> tuple[Header, str | None]:
        header = corrected_header(path, dataset, job.options)
        return header, rows_problem(path, header, wrong, limits)

    try:
        header, problem = await parts.files.run(request, read)
    except CsvFileError as error:
        raise invalid(f"nothing was changed: {error}", job_id=job.id) from error
    if problem is not None:
        raise invalid(f"nothing was changed: {problem}", job_id=job.id)
    return header.match.recorded


async def _receive(request: Request, file: SpooledFile, form: bool) -> tuple[str | None, str | None]:
    """Write the body's file to disk as it comes; answers what its sender called it, and the reason in a form."""
    content_type = request.headers.get("content-type", "")
    boundary = boundary_of(content_type)
    try:
        if boundary is not None:
            return await _from_form(request.stream(), boundary, file, form)
        if content_type.partition(";")[0].strip().lower() != "text/csv":
            raise invalid("send the corrected errors.csv as multipart/form-data, in a part 'file', or as text/csv")
        pending = bytearray()
        async for chunk in request.stream():
            pending += chunk
            await _write(file, pending, _WRITE_BYTES)
        await _write(file, pending, 0)
        return None, None
    except ClientDisconnect as gone:
        raise broken_off() from gone


async def _from_form(
    body: AsyncIterator[bytes], boundary: bytes, file: SpooledFile, form: bool
) -> tuple[str | None, str | None]:
    reader, name, parts, pending = FormReader(boundary), None, 0, bytearray()
    part, reason = "", bytearray()
    async for chunk in body:
        for event in reader.feed(chunk):
            match event:
                case PartBegan("reason", _) if form and not parts:
                    part = "reason"
                case PartBegan(part, filename):
                    parts, name = parts + 1, filename
                    if part != "file" or parts > 1:
                        raise invalid("send one part 'file', the corrected errors.csv, and nothing else")
                    if form and not filename:
                        raise no_file_chosen()
                case PartData(data) if part == "reason":
                    reason += data[: MOST_JSON_BYTES - len(reason)]
                case PartData(data):
                    pending += data
                case PartEnded():
                    pass
        await _write(file, pending, _WRITE_BYTES)
    reader.close()
    if not parts and form:
        raise no_file_chosen()
    if not parts:
        raise invalid("the part 'file' is missing; it is to hold the corrected errors.csv")
    await _write(file, pending, 0)
    return name, reason.decode("utf-8", "replace").strip() or None


async def _write(file: SpooledFile, pending: bytearray, least: int) -> None:
    if pending and len(pending) >= least:
        data = bytes(pending)
        pending.clear()
        await asyncio.to_thread(file.write, data)
