"""Routes of jobs: list them, make one, get one, and watch one."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.jobs.creation.create import job_of
from api.jobs.creation.job_query import FIELDS, OPTIONS
from api.jobs.reading.event_stream import event_source
from api.jobs.reading.paging import MOST, query_of
from api.jobs.reading.queries import job_page
from api.models.jobs import JobPage, JobView
from api.models.requests import JobRequest
from api.routes.answers import JOB, JOBS, job_answer, made_answer
from api.web.responses import encoded_answer
from api.web.routing import CSV, Answer, Body, Endpoint, Parameter, Part, refusal, unavailable
from api.web.services import caller, caught_up, services_of, visible_job
from schemas.bounds import MOST_KEY
from schemas.job import Options, State
from schemas.policies.principals import Role

_LAST_ID: Final = Parameter(
    "Last-Event-ID", "The id of the last event that came, when a lost stream is opened again", str, "header"
)


async def list_jobs(request: Request) -> Response:
    """A page of jobs."""
    services, requester = services_of(request), caller(request)
    query = query_of(request.query_params.multi_items(), services.catalog.operations, requester.scope)
    await caught_up(services)
    return encoded_answer(await job_page(services, query, requester))


async def create_job(request: Request) -> Response:
    """Make a job."""
    services = services_of(request)
    return made_answer(services, await job_of(request, services, caller(request)))


async def get_job(request: Request) -> Response:
    """One job."""
    return job_answer(services_of(request), await visible_job(request))


async def watch_job(request: Request) -> Response:
    """The job at once, then each change of its state as it comes and its progress at most four times a second."""
    last_id = request.headers.get(_LAST_ID.name)
    return event_source(services_of(request), await visible_job(request), last_id)


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        JOBS,
        list_jobs,
        "listJobs",
        "Jobs, newest first",
        (
            Answer(200, "Jobs", JobPage),
            unavailable("The API has just started, and does not know every job yet"),
        ),
        (
            Parameter("state", "Only jobs in these states", list[State]),
            Parameter("operation", "Only these operations", list[str]),
            Parameter("organisation", "Only these organisations", list[str]),
            Parameter("limit", "Jobs on a page, at most", Annotated[int, Meta(ge=1, le=MOST)]),
            Parameter("after", "The `next` of the page before", str),
        ),
        role=Role.VIEWER,
    ),
    Endpoint(
        "POST",
        JOBS,
        create_job,
        "createJob",
        "Make a job",
        (
            Answer(201, "The job", JobView, {"Location": "Where the job is"}),
            refusal(
                403,
                "The organisation is not the caller's, the named file is in no import folder, "
                "or a web page of another site sends this without a key",
            ),
            refusal(404, "There is no job whose file is to be read again"),
            refusal(
                409,
                "Another job holds what this one needs, or has applied this file already; the named file changes while "
                "it is read, or is another one by now; or an export is ten times larger than any before and does not "
                "say confirm",
            ),
            refusal(410, "The file that is to be read again is gone"),
            refusal(413, "The body, the file, its rows, columns or lines, or the export exceed a limit"),
            refusal(422, "The Idempotency-Key belongs to another request"),
            unavailable("Kafka or the workers do not answer, or the API has just started"),
            refusal(507, "The server's disk is full; no job was made"),
        ),
        (
            Parameter(
                "Idempotency-Key",
                "A repeat with the same key returns the first answer",
                Annotated[str, Meta(min_length=1, max_length=MOST_KEY)],
                "header",
            ),
            *(
                Parameter(field.name, f"With a form that has a file only: the job's {field.name}", field.type)
                for field in msgspec.structs.fields(JobRequest)
                if field.name in FIELDS
            ),
            *(
                Parameter(field.name, f"With a form that has a file only: the option {field.name}", field.type)
                for field in msgspec.structs.fields(Options)
                if field.name in OPTIONS
            ),
        ),
        Body(JobRequest, {"job": Part(JobRequest, required=False), "file": Part(CSV, required=False)}),
        description="With multipart/form-data the file is sent along, and the job in the part `job` or in the query. "
        "With application/json the job names a file in an import folder of the server (file), at an address "
        '(source: {"url": ...}) or of another job (source: {"job": ID}); is a draft whose file comes in parts '
        '(source: {"upload": NAME}); takes its rows from the inbox (source: "topic"); or is an export. '
        "A file may be compressed (gzip, zip).",
        role=Role.OPERATOR,
    ),
    Endpoint(
        "GET",
        JOB,
        get_job,
        "getJob",
        "One job",
        (Answer(200, "The job", JobView),),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        f"{JOB}/watch",
        watch_job,
        "watchJob",
        "Events `state` and `progress`, each with the job as data, until the job has ended",
        (
            Answer(200, "Server-sent events", "text/event-stream"),
            unavailable("As many callers watch jobs as the API has room for, or the API has just started"),
        ),
        (_LAST_ID,),
        role=Role.VIEWER,
    ),
)
