"""The routes that act on a job: pause, resume, terminate, rollback, rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from api.errors import invalid
from api.jobs.job_request import body_as
from api.jobs.job_view import job_view
from api.jobs.waiting import waiting_for
from api.models import InputEnd, Rate, Reason
from api.readmodel.command_log import ANSWER_SECONDS, submit
from api.web.auth import Caller
from api.web.bodies import short_body
from api.web.responses import json_answer
from api.web.services import Services, caller, now_ms, services, visible_job
from schemas.commands import InputEnded, PauseJob, ResumeJob, RollbackJob, SetRate, TerminateJob
from schemas.commands import Request as Command
from schemas.job import RESTING, Job

_LONGEST_WAIT_SECONDS = 600.0

COMMANDS: Final[dict[str, Callable[[str, str, Reason], Command]]] = {
    "pause": lambda job_id, by, body: PauseJob(job_id=job_id, by=by, reason=body.reason),
    "resume": lambda job_id, by, body: ResumeJob(job_id=job_id, by=by, reason=body.reason),
    "terminate": lambda job_id, by, body: TerminateJob(
        job_id=job_id, by=by, reason=body.reason, keep_rows=body.keep_rows
    ),
    "rollback": lambda job_id, by, body: RollbackJob(job_id=job_id, by=by, reason=body.reason),
}
"""The last part of the path -> the command."""


async def act(request: Request, action: str) -> Response:
    """Send a command; with ``?wait=SECONDS``, wait for the state in which the job rests."""
    job, parts = await visible_job(request), services(request)
    wait = _wait_seconds(request)
    body = body_as(await short_body(request), Reason, "fields: reason, keep_rows")
    job = await carry_out(parts, job, caller(request), action, body, max(ANSWER_SECONDS, wait or 0))
    if wait is None:
        return json_answer(job_view(job, parts.view, now_ms()), 202)
    # A resumed job is at work again: there is nothing more to wait for.
    if action != "resume":
        rested = await parts.live.until(job.id, lambda now: now.state in RESTING, wait)
        if rested is None:
            return _still_waiting(parts, job)
    job = parts.view.jobs.get(job.id, job)
    return json_answer(job_view(job, parts.view, now_ms()), 200)


async def carry_out(
    parts: Services, job: Job, asking: Caller, action: str, body: Reason, timeout: float = ANSWER_SECONDS
) -> Job:
    """The job once it has taken in one of `COMMANDS`. Raises as `submit`, and ApiError 400."""
    if body.keep_rows and action != "terminate":
        raise invalid("keep_rows belongs to terminate; leave it out")
    return await submit(parts.commands, parts.live, COMMANDS[action](job.id, asking.name, body), timeout)


def _still_waiting(parts: Services, job: Job) -> Response:
    job = parts.view.jobs.get(job.id, job)
    return json_answer(job_view(job, parts.view, now_ms(), waiting_for(job)), 202)


async def set_rate(request: Request) -> Response:
    """Set or lift the most rows a second."""
    job, parts = await visible_job(request), services(request)
    body = body_as(await short_body(request), Rate, "fields: rows_per_second (a number, or null for no limit), reason")
    job = await change_rate(parts, job, caller(request), body)
    return json_answer(job_view(job, parts.view, now_ms()))


async def change_rate(parts: Services, job: Job, asking: Caller, body: Rate) -> Job:
    """The job once it has taken in the rate. Raises as `submit`, and ApiError 400."""
    command = SetRate(job_id=job.id, by=asking.name, reason=body.reason, rows_per_second=body.rows_per_second)
    return await submit(parts.commands, parts.live, command)


async def end_input(request: Request) -> Response:
    """Say how many rows come by the inbox; the job ends once it has them."""
    job, parts = await visible_job(request), services(request)
    body = body_as(await short_body(request), InputEnd, "fields: rows (how many the job has)")
    job = await submit(parts.commands, parts.live, InputEnded(job_id=job.id, rows=body.rows, by=caller(request).name))
    return json_answer(job_view(job, parts.view, now_ms()), 202)


def _wait_seconds(request: Request) -> float | None:
    text = request.query_params.get("wait")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_WAIT_SECONDS:
        raise invalid(f"wait is a number of seconds from 0 to {_LONGEST_WAIT_SECONDS:g}, not {text[:80]!r}")
    return seconds
