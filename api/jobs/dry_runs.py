"""What a dry run has found, and the real job made of it without a second upload."""

from __future__ import annotations

import asyncio
import threading

from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError, invalid
from api.jobs.job_request import body_as, check_options
from api.jobs.job_view import job_view
from api.jobs.row_errors import error_page
from api.jobs.row_pages import row_pages
from api.models import Preview, PreviewRow, Start
from api.readmodel.command_log import submit
from api.readmodel.totals import applied_totals
from api.uploads.import_folders import digest_of
from api.web.auth import Caller
from api.web.bodies import short_body
from api.web.responses import json_answer
from api.web.services import Services, caller, now_ms, services, visible_job
from runtime.identity import Match, match
from schemas.commands import StartJob
from schemas.ids import job_id_for_start
from schemas.indices import index_name
from schemas.job import Job

SHOWN = 20
"""Row errors and rows in a preview, at most."""
MOST_HASHED_BYTES = 64 * 1024 * 1024
"""Of a file that was touched since its dry run: what takes longer to read is left to the reader of the real job, which
fails it if the file is another one."""


async def get_preview(request: Request) -> Response:
    """What a dry run has found so far."""
    job, parts = await visible_job(request), services(request)
    return json_answer(await preview_of(parts, job))


async def preview_of(parts: Services, job: Job) -> Preview:
    """What a dry run has found so far.

    Raises:
        ApiError: 404, it is none; 503, Elasticsearch does not answer.
    """
    if not job.options.dry_run:
        raise ApiError(404, f"job {job.id} is no dry run, so it has no preview", {"state": job.state})
    prefix, client = parts.settings.prefix, parts.elasticsearch
    errors = await error_page(client, index_name(prefix, "errors"), job.id, SHOWN, None)
    hits, _ = await anext(row_pages(client, index_name(prefix, "previews"), job.id, limit=SHOWN))
    totals = applied_totals(job, parts.view.lanes(job.id))
    return Preview(
        job_id=job.id,
        state=job.state,
        rows_total=job.rows_total,
        rows_valid=totals.rows_applied,
        rows_failed=totals.rows_failed,
        errors=errors.errors,
        rows=[PreviewRow(row=hit["_source"]["row"], document=hit["_source"]["document"]) for hit in hits],
    )


async def start_job(request: Request) -> Response:
    """Make the real job of a dry run; a second start answers with the job of the first."""
    job, parts = await visible_job(request), services(request)
    body = body_as(await short_body(request), Start, "fields: options, reason")
    real, made = await start_real(parts, job, caller(request), body)
    return json_answer(job_view(real, parts.view, now_ms()), 201 if made else 200, {"Location": f"/v1/jobs/{real.id}"})


async def start_real(parts: Services, job: Job, asking: Caller, body: Start) -> tuple[Job, bool]:
    """The real job of a dry run, and whether it was made just now. Raises as `submit`, and ApiError 400 or 409."""
    if body.options is not None:
        if body.options.dry_run:
            raise invalid("start makes the real job: leave dry_run out")
        if body.options.columns or body.options.set or body.options.ignore_extra:
            raise invalid("start takes the columns as the dry run had them: leave columns, set and ignore_extra out")
        check_options(body.options)
    known = parts.view.jobs.get(job_id_for_start(job.id))
    if known is not None:
        return known, False
    if job.options.dry_run:
        await asyncio.to_thread(_require_source, job, parts)
    command = StartJob(
        job_id=job_id_for_start(job.id),
        by=asking.name,
        reason=body.reason,
        dry_run=job.id,
        options=body.options,
    )
    return await submit(parts.commands, parts.live, command), True


def _require_source(job: Job, parts: Services) -> None:
    source = job.source
    if source.kind != "file" or source.path is None:
        return
    path = parts.settings.storage_root / source.path  # an absolute one stays as it is
    try:
        status = path.stat()
        found = match(source, status)
        if found is Match.UNSURE and status.st_size <= MOST_HASHED_BYTES:
            _, now = digest_of(path, lambda _head, _whole: None, threading.Event())
            found = Match.SAME if now.sha256 == source.sha256 else Match.OTHER
    except OSError:
        what = "is not on the server any more"
    else:
        if found is not Match.OTHER:
            return
        what = "has changed since"
    raise ApiError(409, f"the file of dry run {job.id} {what}: upload it again", {"source": source.name})
