"""From a request to a job, with or without a file. `make_job` has the steps; the page takes them too."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from msgspec.structs import replace
from starlette.requests import Request

from api.errors import ApiError, invalid, no_such_job, refused, unavailable
from api.jobs.creation.again import asked_again, first_rate, stored_again
from api.jobs.creation.estimates import export_rows, require_confirmed
from api.jobs.creation.job_form import JobForm
from api.jobs.creation.job_query import request_in_query
from api.jobs.creation.job_request import HOW_TO_SEND, Admission, repeat_problem, request_in
from api.jobs.creation.origins import path_of, place_of
from api.models.requests import Elsewhere, JobRequest
from api.readmodel.command_log import submit
from api.remote.addresses import allowed_address, file_name, job_address
from api.uploads.allowance import Allowance
from api.uploads.conversion import plain
from api.uploads.import_folders import allowed_path, digest_of, folders_for, size_of, unchanged
from api.uploads.multipart import boundary_of
from api.uploads.receiving import receive_parts
from api.uploads.upload import Upload
from api.web.auth import Caller
from api.web.bodies import short_body
from api.web.ending import require_holding
from api.web.services import Services, caller, caught_up, services_of
from control.creation.quotas import export_problem, rows_problem
from csvfile.cutter import Limits
from csvfile.errors import CsvFileError
from csvfile.header import HEAD_BYTES
from csvfile.layout import text_by
from csvfile.row_count import rows_beyond
from runtime.clock import now_ms
from schemas.bounds import MOST_KEY
from schemas.ids import job_id_for_key, new_job_id
from schemas.job import Job, Source
from schemas.messages.commands import CreateJob

Receive = Callable[[Request, Admission, Upload], Awaitable[CreateJob]]
"""Reads the body: the command that it asks for, and its file into the upload. Raises ApiError to refuse either."""


async def job_of(request: Request, services: Services, asking: Caller) -> Job:
    """The job that a request for a new one makes. Raises as `make_job`."""
    await ready_to_create(services)
    job_id = id_for(asking, request.headers.get("idempotency-key"))
    return await make_job(request, job_id, _receiver(request))


async def ready_to_create(services: Services) -> None:
    """Require that a command can be written now; callers ask before they read a body of any size.

    Raises:
        ApiError: 503, no job can be made now.
    """
    await caught_up(services)
    if not await services.commands.answers():
        raise unavailable("Kafka does not answer, so no job can be started; check `sluice status` and try again")


def id_for(asking: Caller, key: str | None) -> str:
    """A new job's id: with an Idempotency-Key always the same one.

    Raises:
        ApiError: 400, the key can't be used.
    """
    if key is not None and not 0 < len(key) <= MOST_KEY:
        raise invalid(f"Idempotency-Key is a text of 1 to {MOST_KEY} characters")
    return job_id_for_key(asking.identity, key) if key else new_job_id(now_ms(), secrets.randbits(35))


async def make_job(request: Request, job_id: str, receive: Receive) -> Job:
    """The job that a request asks for, or the one that the same request has made before.

    Raises:
        ApiError: the request is not right, or the job is refused. Its file is gone then.
    """
    services, asking = services_of(request), caller(request)
    known = services.view.jobs.get(job_id)
    if known is not None and not asking.may_see(known.organisation):
        # A service that produces commands chooses its jobs' ids.
        raise ApiError(422, "this Idempotency-Key can't be used; use another one")
    admission = Admission(
        job_id, asking, services.catalog, known, services.mappings, services.notified, services.view.usages.of
    )
    widest = Allowance.widest(services.catalog.quotas, asking.organisations)
    async with Upload(services.settings.storage_root, job_id, services.settings.unpacked_bytes, widest) as upload:
        command = await receive(request, admission, upload)
        if upload.begun:
            await upload.settle()
        command = await _with_file(request, admission, command, upload)
        await _require_rows(request, admission, command, upload)
        require_holding(services, admission.caller)
        return await _submit_once(services, command, upload)


def _receiver(request: Request) -> Receive:
    content_type = request.headers.get("content-type", "")
    boundary = boundary_of(content_type)
    asked = request_in_query(request.query_params.multi_items())
    if boundary is not None:
        return partial(receive_form, boundary=boundary, kind=partial(JobForm, asked=asked))
    if asked is not None:
        raise invalid(
            "the query of the address can give the job only with a form that has a file; give the job in the JSON"
        )
    if content_type.partition(";")[0].strip().lower() == "application/json":
        return _receive_json
    raise invalid(f"the Content-Type {content_type[:80]!r} can't be used here: {HOW_TO_SEND}; or send application/json")


async def _receive_json(request: Request, admission: Admission, upload: Upload) -> CreateJob:
    asked, given = request_in(await short_body(request))
    return await receive_elsewhere(request, admission, upload, asked, given)


async def receive_elsewhere(
    request: Request, admission: Admission, upload: Upload, asked: JobRequest, given: frozenset[str]
) -> CreateJob:
    """The command for a request that brings no file; `given`: names of the options that it says."""
    match asked.source:
        case Elsewhere(job=str() as job_id, url=None, upload=None, bytes=None):
            return await receive_again(request, admission, upload, asked, job_id, given)
        case Elsewhere(job=None, url=str() as url, upload=None, bytes=None):
            return await _receive_url(request, admission, upload, await admission.resolved(asked), url)
        case _:
            asked = await admission.resolved(asked)
            command = admission.command(asked, None)
            await require_confirmed(services_of(request), admission, asked, command)
            return command


async def _receive_url(
    request: Request, admission: Admission, upload: Upload, asked: JobRequest, url: str
) -> CreateJob:
    """The command for a job of a file that is fetched from its address.

    Raises:
        ApiError: as `Admission.command`, `allowed_address` and `Fetches.fetch`.
    """
    services = services_of(request)
    settings = services.settings
    address = job_address(url)
    if asked.file is not None:
        raise invalid("a job reads its rows from one place: leave out file, or source")
    upload.begin(file_name(address), url=address.shown)
    named = replace(upload.source(), origin=admission.origin("url", place_of(address)))
    command = admission.command(replace(asked, source=None), named)
    address = allowed_address(url, settings.source_prefixes, command.organisation)
    made, repeated = admission.made, admission.repeated(command)
    if repeated is None and made is not None and made.source.origin is None and made.source.url == address.shown:
        repeated = replace(command, source=made.source)  # an older version kept nothing of the query
    if repeated is not None:
        upload.forget()
        return repeated  # a repeat is not fetched again
    upload.allow(admission.allowance(command))
    upload.expect(text_by(command.options))
    upload.look_with(partial(admission.look, command))
    await services.fetches.fetch(request, address, settings, command.organisation, upload)
    return command


async def receive_again(
    request: Request, admission: Admission, upload: Upload, asked: JobRequest, job_id: str, given: frozenset[str]
) -> CreateJob:
    """The command for a job of another job's stored file; `given`: names of the options that the request says.

    Raises:
        ApiError: as `Admission.command`, `asked_again` and `stored_again`; 404, there is no such job.
    """
    services = services_of(request)
    origin, made = admission.origin("job", job_id), admission.made
    earlier = services.view.jobs.get(job_id)
    if earlier is None and made is not None and origin is not None and made.source.origin == origin:
        earlier = made  # a repeat, after the job has left the table: its own job has taken over what was not said
    if earlier is None or not admission.caller.may_see(earlier.organisation):
        raise no_such_job(job_id)
    if asked.file is not None:
        raise invalid("a job reads its rows from one place: leave out file, or source")
    whose = replace(
        asked, dataset=asked.dataset or earlier.dataset, organisation=asked.organisation or earlier.organisation
    )
    asked = await admission.resolved(whose)
    command = admission.command(asked_again(asked, given, earlier), replace(earlier.source, origin=origin))
    repeated = admission.repeated(command)
    if repeated is not None and made is not None:
        return repeated if "rows_per_second" in given else await first_rate(services, made, repeated)
    look, root = partial(admission.look, command), services.settings.storage_root
    upload.allow(admission.allowance(command))  # it may have to be written anew

    def read(stop: threading.Event) -> Source | None:
        return stored_again(earlier, command.options, root, upload, look, stop)

    source = await services.files.run(request, command.organisation, read)
    return command if source is None else replace(command, source=replace(source, origin=origin))


async def receive_form(
    request: Request,
    admission: Admission,
    upload: Upload,
    *,
    boundary: bytes,
    kind: Callable[[Admission, Upload], JobForm] = JobForm,
) -> CreateJob:
    """The command that a multipart body asks for: a `Receive`, once it is told the boundary and the form's kind."""
    form = kind(admission, upload)
    await receive_parts(request.stream(), boundary, form.begin)
    if form.asked is not None and not upload.begun:
        return await receive_elsewhere(request, admission, upload, form.asked, form.given)
    return form.end()


async def _with_file(request: Request, admission: Admission, command: CreateJob, upload: Upload) -> CreateJob:
    """The command with its source as it is: the file that has come, or the server's own that it names."""
    if upload.begun:
        return replace(command, source=replace(upload.source(), origin=command.source.origin))
    # If the file is another job's, its source is known already.
    if command.source.kind == "file" and command.source.path is not None and command.source.sha256 is None:
        origin = admission.origin("file", path_of(command.source.path))
        named = replace(command, source=replace(command.source, origin=origin))
        repeated = admission.repeated(named)
        if repeated is not None:
            return repeated
        return replace(command, source=replace(await _named_file(request, admission, command, upload), origin=origin))
    return command


async def _named_file(request: Request, admission: Admission, command: CreateJob, upload: Upload) -> Source:
    """The server's file that a command names: in its place, or as what was made of it if it is not plain UTF-8."""
    own = None if admission.caller.organisations is None else command.organisation
    roots = folders_for(services_of(request).settings.import_roots, own)
    look = partial(admission.look, command)
    text = text_by(command.options)

    def read(stop: threading.Event) -> Source:
        path = allowed_path(command.source.path or "", roots)
        admission.require_size(command, Source(bytes=size_of(path)))
        with unchanged(path) as (file, _):
            as_it_is = plain(file.read(HEAD_BYTES), text)
            if not as_it_is:
                file.seek(0)
                upload.allow(admission.allowance(command))
                upload.expect(text)
                upload.convert(path.name, file, look, stop)
        return digest_of(path, look, stop)[1] if as_it_is else upload.source()

    return await services_of(request).files.run(request, command.organisation, read)


async def _require_rows(request: Request, admission: Admission, command: CreateJob, upload: Upload) -> None:
    """Require that the job has no more rows than its organisation may have in one; readers require it as well.

    Raises:
        ApiError: 413, it has.
    """
    services, source, organisation = services_of(request), command.source, command.organisation
    quotas = services.catalog.quotas.of(organisation)
    problem = None
    if source.kind == "query" and admission.made is None:
        rows = await export_rows(services, command)
        problem = None if rows is None else export_problem(rows, organisation, quotas)
    elif source.kind == "file" and (source.lines or 0) > quotas.rows and admission.made is None:
        path = upload.written if upload.begun else Path(source.path or "")
        dataset = services.catalog.datasets[command.dataset]
        limits = Limits(services.settings.block_rows, services.settings.block_bytes)

        def count(_stop: threading.Event) -> int | None:
            return rows_beyond(path, source, dataset, limits, quotas.rows)

        try:
            beyond = await services.files.run(request, organisation, count)
        except (CsvFileError, OSError):
            beyond = None  # the job will say so
        problem = None if beyond is None else rows_problem(beyond, organisation, quotas)
    if problem is not None:
        raise refused(problem)


async def _submit_once(services: Services, command: CreateJob, upload: Upload) -> Job:
    # The repeat of a request that is under way waits for its answer.
    async with services.creating.held(command.job_id):
        known = services.view.jobs.get(command.job_id)
        if known is not None:
            problem = repeat_problem(known, command)
            if problem is not None:
                raise problem
            return known
        if not upload.begun:
            return await submit(services.commands, services.live, command)
        async with upload.kept() as source:
            kept = replace(source, origin=command.source.origin)
            job = await submit(services.commands, services.live, replace(command, source=kept))
        await upload.discard_unless(job.source)
        return job
