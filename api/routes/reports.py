"""Routes that read more than a job's state: its history, row errors and files; datasets and totals."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.errors import invalid
from api.glance.installation import installation, surroundings
from api.glance.models import Installation
from api.jobs.reading.changes import change_page
from api.jobs.reading.downloads import changes_file, errors_csv, result_file, undone_file
from api.jobs.reading.dry_runs import preview_of
from api.jobs.reading.paging import MOST, whole_number
from api.jobs.reading.queries import MOST_HISTORY, dataset_view, errors_of, history_of
from api.jobs.reading.undone import BUCKETS, Bucket, undone_page
from api.models.installation import DatasetList
from api.models.jobs import HistoryPage
from api.models.reports import ChangePage, Preview, RowErrorPage, UndonePage
from api.routes.answers import JOB
from api.web.responses import json_answer
from api.web.routing import CSV, Answer, Endpoint, Parameter, refusal, unavailable
from api.web.services import caller, caught_up, services_of, visible_job
from schemas.policies.principals import Role

_ERRORS_LIMIT = 100
_LAST_ROW = 2**62
_LIMIT: Final = Parameter("limit", "Rows on a page, at most", Annotated[int, Meta(ge=1, le=MOST)])
_AFTER: Final = Parameter("after", "Only rows after this one", Annotated[int, Meta(ge=0, le=_LAST_ROW)])
_LIKE: Final = Parameter(
    "like", "Only rows with the column and the reason of this one", Annotated[int, Meta(ge=0, le=_LAST_ROW)]
)

_OUTCOME: Final = Parameter("outcome", "Only rows with these outcomes", list[Literal["restored", "kept", "failed"]])


async def get_history(request: Request) -> Response:
    """A job's audit trail."""
    job, services = await visible_job(request), services_of(request)
    earlier = max(0, len(services.view.event_offsets(job.id)) - MOST_HISTORY)
    return json_answer(HistoryPage(job_id=job.id, history=await history_of(services, job), earlier=earlier))


async def get_errors(request: Request) -> Response:
    """A page of a job's row errors."""
    job, services = await visible_job(request), services_of(request)
    text = request.query_params.get(_LIKE.name)
    like = None if text is None else whole_number(_LIKE.name, text, 0, _LAST_ROW)
    return json_answer(await errors_of(services, job, *_page(request), like))


async def get_errors_csv(request: Request) -> Response:
    """All of a job's row errors, as CSV."""
    job, services = await visible_job(request), services_of(request)
    return await errors_csv(services, job)


async def get_preview(request: Request) -> Response:
    """What a dry run has found so far."""
    job, services = await visible_job(request), services_of(request)
    return json_answer(await preview_of(services, job))


async def get_changes(request: Request) -> Response:
    """A page of what a dry run would change."""
    job, services = await visible_job(request), services_of(request)
    return json_answer(await change_page(services, job, *_page(request)))


async def get_changes_csv(request: Request) -> Response:
    """All that a dry run would change, as CSV."""
    job, services = await visible_job(request), services_of(request)
    return await changes_file(services, job)


async def get_undone(request: Request) -> Response:
    """A page of what a rollback has done."""
    job, services = await visible_job(request), services_of(request)
    return json_answer(await undone_page(services, job, _buckets(request), *_page(request)))


async def get_undone_csv(request: Request) -> Response:
    """What a rollback has done with each row, as CSV."""
    job, services = await visible_job(request), services_of(request)
    return await undone_file(services, job, _buckets(request))


def _buckets(request: Request) -> tuple[Bucket, ...]:
    text = request.query_params.get(_OUTCOME.name)
    if text is None:
        return BUCKETS
    found = tuple(bucket for bucket in BUCKETS if bucket in text.split(","))
    if not found or len(found) != len(text.split(",")):
        raise invalid(f"outcome is one or more of {', '.join(BUCKETS)}, with commas between, not {text[:80]!r}")
    return found


def _page(request: Request) -> tuple[int, int | None]:
    """How many rows, and after which one."""
    limit, after = request.query_params.get(_LIMIT.name), request.query_params.get(_AFTER.name)
    return (
        _ERRORS_LIMIT if limit is None else whole_number(_LIMIT.name, limit, 1, MOST),
        None if after is None else whole_number(_AFTER.name, after, 0, _LAST_ROW),
    )


async def get_result(request: Request) -> Response:
    """The CSV that an export made."""
    job, storage = await visible_job(request), services_of(request).storage
    return await result_file(storage, job, request.headers, request.method == "HEAD")


async def list_datasets(request: Request) -> Response:
    """Every dataset, with its columns."""
    caller(request)
    datasets = services_of(request).catalog.datasets.values()
    return json_answer(DatasetList(datasets=[dataset_view(dataset) for dataset in datasets]))


async def get_stats(request: Request) -> Response:
    """Totals over the caller's jobs, and the state of the installation."""
    services, requester = services_of(request), caller(request)
    await caught_up(services)
    return json_answer(await installation(services, surroundings(request), requester))


_ETAG: Final = {"ETag": "Tells this file from another one"}
_RANGE: Final = {"Content-Range": "Which bytes of how many"}

ENDPOINTS: Final = (
    Endpoint(
        "GET",
        f"{JOB}/history",
        get_history,
        "getHistory",
        "The audit trail, newest last",
        (Answer(200, "What happened", HistoryPage),),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        f"{JOB}/errors",
        get_errors,
        "getErrors",
        "Row errors, by row",
        (
            Answer(200, "A page", RowErrorPage),
            refusal(404, "There is no such job, its row errors were removed, or there is none of the row `like`"),
        ),
        (_LIMIT, _AFTER, _LIKE),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        f"{JOB}/errors.csv",
        get_errors_csv,
        "getErrorsCsv",
        "All row errors",
        (
            Answer(200, "The rows, and why not", CSV, {"Content-Disposition": "What to call the file"}),
            refusal(404, "There is no such job, or its row errors were removed"),
        ),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        f"{JOB}/preview",
        get_preview,
        "getPreview",
        "What a dry run has found: counts, first row errors, first rows as they would be stored",
        (
            Answer(200, "The preview", Preview),
            refusal(404, "There is no such job, it is no dry run, or what it has found was removed"),
        ),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        f"{JOB}/changes",
        get_changes,
        "getChanges",
        "What a dry run would change, by row",
        (
            Answer(200, "A page", ChangePage),
            refusal(404, "There is no such job, it is no dry run, or what it has found was removed"),
        ),
        (_LIMIT, _AFTER),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        f"{JOB}/changes.csv",
        get_changes_csv,
        "getChangesCsv",
        "Every change that a dry run would make, a line for each value",
        (
            Answer(200, "The changes", CSV, {"Content-Disposition": "What to call the file"}),
            refusal(404, "There is no such job, it is no dry run, or what it has found was removed"),
        ),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        f"{JOB}/undone",
        get_undone,
        "getUndone",
        "What a rollback has done with each row: restored, kept as others have changed it since, or failed",
        (
            Answer(200, "A page", UndonePage),
            refusal(
                404, "There is no such job, it was not rolled back, its rows are all its own, or the list was removed"
            ),
        ),
        (_OUTCOME, _LIMIT, _AFTER),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        f"{JOB}/undone.csv",
        get_undone_csv,
        "getUndoneCsv",
        "The same, all of it",
        (
            Answer(200, "The rows", CSV, {"Content-Disposition": "What to call the file"}),
            refusal(
                404, "There is no such job, it was not rolled back, its rows are all its own, or the list was removed"
            ),
        ),
        (_OUTCOME,),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        f"{JOB}/result",
        get_result,
        "getResult",
        "The CSV that an export made",
        (
            Answer(200, "The file", CSV, {**_ETAG, "Content-Disposition": "What to call it"}),
            Answer(206, "The range that was asked for", CSV, {**_ETAG, **_RANGE}),
            Answer(304, "The caller has the file already", headers=_ETAG),
            refusal(404, "There is no such job, it makes no file, or its file is not there any more"),
            refusal(409, "The file is not complete yet, or the export has failed"),
            refusal(416, "The range lies beyond the end of the file", _RANGE),
        ),
        (
            Parameter("Range", "One range of bytes; a request for several ranges gets the whole file", str, "header"),
            Parameter("If-Range", "The ETag that the range belongs to", str, "header"),
            Parameter("If-None-Match", "ETags of files that the caller has", str, "header"),
        ),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        "/v1/datasets",
        list_datasets,
        "listDatasets",
        "Datasets and their columns",
        (Answer(200, "All of them", DatasetList),),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        "/v1/stats",
        get_stats,
        "getStats",
        "Totals over all jobs, and the state of the installation",
        (
            Answer(200, "The totals", Installation),
            unavailable("The API has just started, and does not know every job yet"),
        ),
        role=Role.VIEWER,
    ),
)
