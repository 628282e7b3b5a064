"""Rows that were refused, corrected, for the same job."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path
from typing import Final

from msgspec.structs import replace
from starlette.requests import Request

from api.errors import invalid, refused
from api.jobs.creation.job_request import require_known
from api.jobs.creation.retry_file import RowSet, corrected_header, rows_problem
from api.jobs.reading.row_errors import error_numbers
from api.models.requests import ActionRequest
from api.readmodel.command_log import submit
from api.uploads.allowance import Allowance
from api.uploads.import_folders import Seen
from api.uploads.multipart import boundary_of
from api.uploads.receiving import Part, TextPart, no_file_chosen, receive_parts, receive_whole
from api.uploads.upload import Upload
from api.web.auth import Caller
from api.web.ending import require_holding
from api.web.parsing import values_as
from api.web.services import Services
from control.errors import Rejected
from control.moves import Answer, legality
from csvfile.cutter import Limits
from csvfile.errors import CsvFileError
from csvfile.header import Header
from csvfile.layout import Text, format_of
from schemas.indices import index_name
from schemas.job import Job, Options, Source
from schemas.messages.commands import RetryErrors

_NAME: Final = "errors.csv"
"""The name of a file whose sender gives none."""


async def take_corrections(
    request: Request, services: Services, job: Job, asking: Caller, reason: str | None, form: bool = False
) -> Job:
    """The job once it has taken in the corrected rows of the body; `form`: it is a web page's, which has a reason too.
    The file that was sent last changes nothing.

    Raises:
        ApiError: it does not take them; 503, it is not known, or can't be checked now.
    """
    if job.retry is None:
        require_known(job, services.catalog)
        _legal(job, RetryErrors(job_id=job.id, source=Source()))  # before megabytes are taken in for nothing
    quotas = services.catalog.quotas.of(job.organisation)
    allowance = Allowance.of(job.organisation, quotas, services.view.usages.of(job.organisation))
    async with Upload(services.settings.storage_root, job.id, services.settings.unpacked_bytes, allowance) as upload:
        corrections = _Corrections(upload, reason, form)
        await _receive(request, corrections)
        await upload.settle()
        job = services.view.jobs.get(job.id, job)
        command = RetryErrors(
            job_id=job.id,
            by=asking.name,
            reason=corrections.reason,
            source=upload.source(),
            errors_of_run=job.run,
        )
        if _legal(job, command) == "already":
            return job
        upload.seen(await _check(request, upload.written, job, services))
        require_holding(services, asking)
        async with upload.kept() as source:
            return await submit(services.commands, services.live, replace(command, source=source))


def _legal(job: Job, command: RetryErrors) -> Answer:
    """What the control agent will say, as far as the state goes.

    Raises:
        ApiError: it will refuse.
    """
    answer = legality(job, command)
    if isinstance(answer, Rejected):
        raise refused(answer)
    return answer


async def _check(request: Request, path: Path, job: Job, services: Services) -> Seen:
    """What the job is to record of the file of corrected rows.

    Raises:
        ApiError: 400, they are not corrected rows of this job; 503, that can't be known now.
    """
    wrong = RowSet()
    async for numbers in error_numbers(services.documents, index_name(services.settings.prefix, "errors"), job.id):
        for number in numbers:
            wrong.add(number)
    dataset = require_known(job, services.catalog)
    limits = Limits(services.settings.block_rows, services.settings.block_bytes)

    def read(_stop: threading.Event) -> tuple[Header, str | None]:
        header = corrected_header(path, dataset, job.options, job.mode)
        return header, rows_problem(path, header, wrong, limits)

    try:
        header, problem = await services.files.run(request, job.organisation, read)
    except CsvFileError as error:
        raise invalid(f"nothing was changed: {error}", job_id=job.id) from error
    if problem is not None:
        raise invalid(f"nothing was changed: {problem}", job_id=job.id)
    return Seen(header.match.recorded, format_of(Options(), header.delimiter))


async def _receive(request: Request, corrections: _Corrections) -> None:
    content_type = request.headers.get("content-type", "")
    boundary = boundary_of(content_type)
    if boundary is not None:
        await receive_parts(request.stream(), boundary, corrections.begin)
        corrections.end()
    elif content_type.partition(";")[0].strip().lower() == "text/csv":
        await receive_whole(request.stream(), corrections.begin_file(None))
    else:
        raise invalid("send the corrected errors.csv as multipart/form-data, in a part 'file', or as text/csv")


class _Corrections:
    """The parts of a body: ``file``, and before it ``reason`` if it is a page's `form`."""

    def __init__(self, upload: Upload, reason: str | None, form: bool) -> None:
        self._upload = upload
        self._form = form
        self.reason: str | None = None
        self._give(reason)

    def begin(self, name: str, filename: str | None) -> Part:
        if self._upload.begun or name not in (("reason", "file") if self._form else ("file",)):
            raise invalid("send one part 'file', the corrected errors.csv, and nothing else")
        if name == "reason":
            return TextPart(name, lambda data: self._give(data.decode("utf-8", "replace").strip()))
        if self._form and not filename:
            raise no_file_chosen()
        return self.begin_file(filename)

    def begin_file(self, filename: str | None) -> Part:
        self._upload.expect(Text())
        return self._upload.begin(filename or _NAME, stored_as=f"retry-{secrets.token_hex(8)}.csv")

    def end(self) -> None:
        if not self._upload.begun:
            text = "the part 'file' is missing; it is to hold the corrected errors.csv"
            raise no_file_chosen() if self._form else invalid(text)

    def _give(self, reason: str | None) -> None:
        self.reason = values_as({"reason": reason or None}, ActionRequest).reason
