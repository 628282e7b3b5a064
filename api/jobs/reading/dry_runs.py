"""The preview of a dry run, and the start of its real job without a second upload."""

from __future__ import annotations

from api.errors import ApiError, invalid, refused, require_kept
from api.jobs.reading.changes import changes_of
from api.jobs.reading.row_errors import error_page
from api.jobs.reading.row_pages import row_pages
from api.jobs.reading.stored_file import Standing, standing
from api.jobs.reading.times import time_in
from api.models.reports import Preview, PreviewRow
from api.models.requests import Start
from api.readmodel.command_log import submit
from api.readmodel.totals import applied_totals
from api.web.auth import Caller
from api.web.services import Services
from control.creation.limits import request_problem
from runtime.files.storage_threads import in_storage_thread
from schemas.ids import job_id_for_start
from schemas.indices import index_name
from schemas.job import Job
from schemas.messages.commands import StartJob

SHOWN = 20
"""Row errors and rows in a preview, at most."""


async def preview_of(services: Services, job: Job) -> Preview:
    """What a dry run has found so far.

    Raises:
        ApiError: 404, the job is no dry run, or its first rows were removed; 503, Elasticsearch does not answer.
    """
    if not job.options.dry_run:
        problem = f"job {job.id} is no dry run, so it has no preview: a job with dry_run (--dry-run) has one"
        raise ApiError(404, problem, {"state": job.state})
    require_kept(job, "previews")
    prefix, documents = services.settings.prefix, services.documents
    errors = await error_page(documents, index_name(prefix, "errors"), job.id, SHOWN, None)
    previews = row_pages(documents, "rows of dry runs are", index_name(prefix, "previews"), job.id, limit=SHOWN)
    hits, _ = await anext(previews)
    totals = applied_totals(job, services.view.lanes(job.id))
    return Preview(
        job_id=job.id,
        state=job.state,
        rows_total=job.rows_total,
        rows_valid=totals.rows_applied,
        rows_failed=totals.rows_failed,
        errors=errors.errors,
        rows=[PreviewRow(row=hit["_source"]["row"], document=hit["_source"]["document"]) for hit in hits],
        changes=await changes_of(services, job),
    )


async def start_real(services: Services, job: Job, caller: Caller, body: Start) -> tuple[Job, bool]:
    """The real job of a dry run, and whether it was made just now. Raises as `submit`, and ApiError 400 or 409."""
    if body.sha256 is not None:
        raise invalid("sha256 is that of a draft's file, and the real job reads the dry run's: leave sha256 out")
    command = StartJob(
        job_id=job_id_for_start(job.id),
        by=caller.name,
        reason=body.reason,
        dry_run=job.id,
        options=body.options,
        start_at=time_in("start_at", body.start_at),
    )
    problem = request_problem(command)
    if problem is not None:
        raise refused(problem)
    if body.options is not None:
        await services.notified(body.options, job.organisation)
    started = services.view.jobs.get(command.job_id)
    if started is not None:
        return started, False
    if job.options.dry_run:  # the control agent decides whether it can be started now
        await in_storage_thread(_require_source, job, services)
    return await submit(services.commands, services.live, command), True


def _require_source(job: Job, services: Services) -> None:
    source = job.source
    if source.kind != "file" or source.path is None:
        return
    found = standing(source, services.settings.storage_root)
    if found is Standing.THERE:
        return
    what = "is not on the server any more" if found is Standing.GONE else "has changed since"
    raise ApiError(409, f"the file of dry run {job.id} {what}: upload it again", {"source": source.name})
