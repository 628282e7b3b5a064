"""POST /v1/jobs: from a request to a job, with or without a file."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError, invalid, unavailable
from api.jobs.job_request import Draft, creation, draft_of, repeat_problem
from api.jobs.job_view import job_view
from api.readmodel.command_log import submit
from api.uploads.import_folders import allowed_path, digest_of
from api.uploads.multipart import boundary_of
from api.uploads.receiving import Describe, receive_form
from api.uploads.spool import SpooledFile
from api.web.auth import Caller
from api.web.bodies import short_body
from api.web.responses import json_answer
from api.web.services import Services, caller, caught_up, now_ms, services
from csvfile.columns import Wanted, wanted_by
from csvfile.errors import CsvFileError
from csvfile.header import Header, look_at_header, read_header
from schemas.ids import job_id_for_key, new_job_id
from schemas.job import Job, Source

_HOW = (
    "send multipart/form-data with a part 'job' (JSON) and a part 'file', or name a file of the server "
    '(file), or say source: "topic"'
)


async def create_job(request: Request) -> Response:
    """Make a job."""
    parts, asking = services(request), caller(request)
    await ready_to_create(parts)
    job_id = id_for(asking, request.headers.get("idempotency-key"))
    content_type = request.headers.get("content-type", "")
    boundary = boundary_of(content_type)
    if boundary is not None:
        job = await from_form(request, parts, asking, job_id, boundary)
    elif content_type.partition(";")[0].strip().lower() == "application/json":
        job = await from_json(request, await short_body(request), parts, asking, job_id)
    else:
        raise invalid(f"the Content-Type {content_type[:80]!r} can't be used here: {_HOW}; or send application/json")
    return json_answer(job_view(job, parts.view, now_ms()), 201, {"Location": f"/v1/jobs/{job.id}"})


async def ready_to_create(parts: Services) -> None:
    """Asked before gigabytes are taken in that nobody could then be told of.

    Raises:
        ApiError: 503, no job can be made now.
    """
    await caught_up(parts)
    if not await parts.commands.answers():
        raise unavailable("Kafka does not answer, so no job can be started; check `sluice status` and try again")


def id_for(asking: Caller, key: str | None) -> str:
    """A new job's id: with an Idempotency-Key always the same one.

    Raises:
        ApiError: 400, the key can't be used.
    """
    if key is not None and not 0 < len(key) <= 255:
        raise invalid("Idempotency-Key is a text of 1 to 255 characters")
    return job_id_for_key(asking.name, key) if key else new_job_id(now_ms(), secrets.randbits(35))


async def from_form(
    request: Request,
    parts: Services,
    asking: Caller,
    job_id: str,
    boundary: bytes,
    describe: Describe | None = None,
) -> Job:
    """The job that a multipart body asks for; `describe` makes the JSON of the part ``job`` from a form's fields.

    Raises:
        ApiError: the request is not right, or the job is refused.
    """

    headers: list[Header] = []

    def check(data: bytes, head: bytes, whole: bool) -> None:
        draft = draft_of(data, parts.catalog, asking)
        if not draft.from_query:
            headers.append(_header(draft, head, whole, parts.view.jobs.get(job_id)))

    form = await receive_form(request.stream(), boundary, parts.settings.storage_root, job_id, check, describe)
    try:
        draft = draft_of(form.job, parts.catalog, asking)
        if form.file is None:
            return await _without_upload(request, draft, parts, asking, job_id)
        if draft.from_query:
            raise invalid("an export takes its rows from the dataset; send no file")
        if draft.file is not None or draft.from_topic:
            raise invalid("a job reads one source only: a file is sent along, so leave out file and source")
    except ApiError:
        if form.file is not None:
            await asyncio.to_thread(form.file.discard)
        raise
    async with _alone(parts, job_id):
        return await _from_upload(draft, form.file, headers[0].match.recorded, parts, asking, job_id)


async def _from_upload(
    draft: Draft,
    file: SpooledFile,
    columns: dict[str, str | None] | None,
    parts: Services,
    asking: Caller,
    job_id: str,
) -> Job:
    command = creation(draft, job_id, asking, file.source())
    kept = False
    try:
        known = parts.view.jobs.get(job_id)
        if known is not None:
            await asyncio.to_thread(file.discard)
            return _repeated(known, repeat_problem(known, command))
        source = await asyncio.to_thread(file.keep)
        kept = True
        return await submit(parts.commands, parts.live, replace(command, source=replace(source, columns=columns)))
    except ApiError as error:
        # After a 503 the command may stand in the log, and then a reader will want the file.
        if not (kept and error.code == 503) and job_id not in parts.view.jobs:
            await asyncio.to_thread(file.discard, kept=kept)
        raise


async def from_json(request: Request, data: bytes, parts: Services, asking: Caller, job_id: str) -> Job:
    """The job that this JSON asks for, without a file being sent along. Raises as `from_form`."""
    return await _without_upload(request, draft_of(data, parts.catalog, asking), parts, asking, job_id)


async def _without_upload(request: Request, draft: Draft, parts: Services, asking: Caller, job_id: str) -> Job:
    if draft.from_query:
        source = Source(kind="query")
    elif draft.from_topic:
        source = Source(kind="topic")
    elif draft.file is not None:
        source = await _named_file(request, draft, draft.file, parts, parts.view.jobs.get(job_id))
    else:
        raise invalid(f"the job has no rows to read: {_HOW}")
    command = creation(draft, job_id, asking, source)
    async with _alone(parts, job_id):
        known = parts.view.jobs.get(job_id)
        if known is not None:
            return _repeated(known, repeat_problem(known, command))
        return await submit(parts.commands, parts.live, command)


async def _named_file(request: Request, draft: Draft, name: str, parts: Services, known: Job | None) -> Source:
    headers: list[Header] = []

    def look(head: bytes, whole: bool) -> None:
        headers.append(_header(draft, head, whole, known))

    def read(stop: threading.Event) -> Source:
        path = allowed_path(name, parts.settings.import_roots)
        source = digest_of(path, look, stop)[1]
        return replace(source, columns=headers[0].match.recorded if headers else None)

    return await parts.files.run(request, read)


def _repeated(known: Job, problem: ApiError | None) -> Job:
    if problem is not None:
        raise problem
    return known


def _header(draft: Draft, head: bytes, whole: bool, known: Job | None) -> Header:
    """The file's header. A repeat of the request that made the job `known` follows what was decided then."""
    try:
        if known is not None and known.source.columns is not None:
            header = look_at_header(head, whole, draft.dataset, Wanted(recorded=known.source.columns))
            if header.match.problem is None:
                return header
        return read_header(head, whole, draft.dataset, wanted_by(draft.options))
    except CsvFileError as error:
        raise invalid(str(error), dataset=draft.dataset.name, expected=list(draft.dataset.columns)) from error


@asynccontextmanager
async def _alone(parts: Services, job_id: str) -> AsyncIterator[None]:
    """One request at a time for a job: the repeat of one that is under way waits for its answer."""
    async with parts.creating.setdefault(job_id, asyncio.Lock()):
        yield
