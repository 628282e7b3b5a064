"""Requests that change a job: commands, its rate, the end of its input, the start of the real job, corrected rows."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.errors import invalid
from api.jobs.actions import COMMANDS, ROLES, announce_end, at_rest, carry_out, change_rate
from api.jobs.creation.drafts import is_draft, start_draft
from api.jobs.creation.options_body import options_body_as
from api.jobs.creation.retry_errors import take_corrections
from api.jobs.reading.dry_runs import start_real
from api.jobs.waiting import waiting_for
from api.models.jobs import JobView
from api.models.requests import ActionRequest, InputEnd, Rate, Start
from api.readmodel.command_log import ANSWER_SECONDS
from api.routes.answers import JOB, job_answer, made_answer
from api.web.bodies import short_body
from api.web.parsing import body_as
from api.web.routing import CSV, Answer, Body, Endpoint, Handler, Parameter, Part, refusal
from api.web.services import caller, services_of, visible_job
from schemas import bounds
from schemas.policies.principals import Role

_LONGEST_WAIT_SECONDS = 600.0
WAIT: Final = Parameter(
    "wait",
    "Seconds to wait for the state in which the job rests, at most: where as many requests wait as may, it is none",
    Annotated[float, Meta(ge=0, le=_LONGEST_WAIT_SECONDS)],
)
_REASON: Final = Parameter("reason", "Why, for the audit trail", bounds.Reason)


def commanding(action: str) -> Handler:
    """The handler of one of `COMMANDS`."""

    async def command_job(request: Request) -> Response:
        """Send the command; with ``?wait=SECONDS``, wait for the state in which the job rests."""
        job, services = await visible_job(request), services_of(request)
        wait = wait_seconds(request)
        body = body_as(await short_body(request), ActionRequest)
        with services.waiting.granted(caller(request).bucket, wait) as seconds:
            job = await carry_out(services, job, caller(request), action, body, max(ANSWER_SECONDS, seconds))
            if wait is None:
                return job_answer(services, job, 202)
            job, rests = await at_rest(services, job, action, seconds)
        return job_answer(services, job, 200) if rests else job_answer(services, job, 202, waiting_for(job))

    return command_job


def wait_seconds(request: Request) -> float | None:
    """What ``?wait=`` asks for; None: not to wait. Raises ApiError 400 for what is no such number."""
    text = request.query_params.get(WAIT.name)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_WAIT_SECONDS:
        raise invalid(f"wait is a number of seconds from 0 to {_LONGEST_WAIT_SECONDS:g}, not {text[:80]!r}")
    return seconds


async def set_rate(request: Request) -> Response:
    """Set or lift the most rows a second."""
    job, services = await visible_job(request), services_of(request)
    body = body_as(await short_body(request), Rate)
    return job_answer(services, await change_rate(services, job, caller(request), body))


async def end_input(request: Request) -> Response:
    """Say how many rows come by the inbox; the job ends once it has them."""
    job, services = await visible_job(request), services_of(request)
    body = body_as(await short_body(request), InputEnd)
    return job_answer(services, await announce_end(services, job, caller(request), body), 202)


async def start_job(request: Request) -> Response:
    """Start a draft, or make the real job of a dry run; a second start answers with the job of the first."""
    job, services = await visible_job(request), services_of(request)
    body, _ = options_body_as(await short_body(request), Start)
    if is_draft(job):
        return job_answer(services, await start_draft(request, services, job, caller(request), body))
    real, made = await start_real(services, job, caller(request), body)
    return made_answer(services, real, 201 if made else 200)


async def retry_errors(request: Request) -> Response:
    """Apply the rows of a corrected ``errors.csv``."""
    job, services = await visible_job(request), services_of(request)
    job = await take_corrections(request, services, job, caller(request), request.query_params.get(_REASON.name))
    return job_answer(services, job, 202)


_NOT_NOW: Final = refusal(409, "Not possible in this state; the message says when it is")
_LOCATION: Final = {"Location": "Where the job is"}


def _command(action: str, summary: str) -> Endpoint:
    return Endpoint(
        "POST",
        f"{JOB}/{action}",
        commanding(action),
        f"{action}Job",
        summary,
        (
            Answer(200, "The job, at rest (with ?wait)", JobView),
            Answer(202, "The job, which has not reached that state yet", JobView),
            _NOT_NOW,
        ),
        (WAIT,),
        Body(ActionRequest, required=False),
        role=ROLES.get(action, Role.OPERATOR),
    )


_SUMMARIES: Final = {
    "pause": "Stop writing, keep everything, go on later",
    "resume": "Go on from the checkpoint",
    "terminate": "Stop for good, and remove the rows that were written",
    "rollback": "Take out what the job wrote",
    "purge": "Remove for good everything that holds values of an ended job; its history and loaded rows stay",
}

ENDPOINTS: Final = (
    *(_command(action, _SUMMARIES[action]) for action in COMMANDS),
    Endpoint(
        "PUT",
        f"{JOB}/rate",
        set_rate,
        "setRate",
        "Set or lift the most rows a second",
        (Answer(200, "The job", JobView), _NOT_NOW),
        body=Body(Rate),
        role=Role.OPERATOR,
    ),
    Endpoint(
        "POST",
        f"{JOB}/end",
        end_input,
        "endInput",
        "Say how many rows come by the inbox; the job ends once it has them",
        (Answer(202, "The job", JobView), _NOT_NOW),
        body=Body(InputEnd),
        role=Role.OPERATOR,
    ),
    Endpoint(
        "POST",
        f"{JOB}/start",
        start_job,
        "startJob",
        "Start a draft whose file has come, or make the real job of a dry run without a second upload",
        (
            Answer(200, "The draft, started; or the real job, which was made before", JobView),
            Answer(201, "The job", JobView, _LOCATION),
            refusal(
                409,
                "Not possible in this state, or without the file that the dry run read, or before all of it has come; "
                "the message says why",
            ),
            refusal(413, "The file, or what it unpacks to, exceeds a limit"),
            refusal(507, "The server's disk is full; the job stays a draft"),
        ),
        body=Body(Start, required=False),
        role=Role.OPERATOR,
    ),
    Endpoint(
        "POST",
        f"{JOB}/retry-errors",
        retry_errors,
        "retryErrors",
        "Apply corrected rows, those of an errors.csv, to the same job",
        (
            Answer(202, "The job, which is at work again", JobView),
            _NOT_NOW,
            refusal(413, "The file, or what it unpacks to, exceeds a limit"),
            refusal(507, "The server's disk is full; nothing was changed"),
        ),
        (_REASON,),
        Body(form={"file": Part(CSV)}, text=CSV),
        role=Role.OPERATOR,
    ),
)
