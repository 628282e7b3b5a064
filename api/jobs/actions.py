"""The requests that change a job: pause, resume, terminate, rollback, its rate, the end of its input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from api.errors import ApiError, invalid
from api.jobs.reading.times import time_in
from api.jobs.reading.undone import partial_problem
from api.models.requests import ActionRequest, InputEnd, Rate
from api.readmodel.command_log import ANSWER_SECONDS, submit
from api.uploads.drafts import DraftFile
from api.web.auth import Caller
from api.web.services import Services
from control.authorization.senders import OTHER_ROLES
from control.moves import VERBS, legality
from runtime.files.storage_threads import in_storage_thread
from schemas.job import RESTING, Job
from schemas.messages.commands import InputEnded, PauseJob, PurgeJob, ResumeJob, RollbackJob, SetRate, TerminateJob
from schemas.messages.commands import Request as Command
from schemas.policies.principals import Role

COMMANDS: Final[dict[str, Callable[[str, str, ActionRequest], Command]]] = {
    "pause": lambda job_id, by, body: PauseJob(
        job_id=job_id, by=by, reason=body.reason, resume_at=time_in("resume_at", body.resume_at)
    ),
    "resume": lambda job_id, by, body: ResumeJob(job_id=job_id, by=by, reason=body.reason),
    "terminate": lambda job_id, by, body: TerminateJob(
        job_id=job_id, by=by, reason=body.reason, keep_rows=body.keep_rows
    ),
    "rollback": lambda job_id, by, body: RollbackJob(job_id=job_id, by=by, reason=body.reason, force=body.force),
    "purge": lambda job_id, by, body: PurgeJob(job_id=job_id, by=by, reason=body.reason),
}
"""The last part of the path -> the command."""
ROLES: Final[dict[str, Role]] = {VERBS[request]: role for request, role in OTHER_ROLES.items()}
"""The least role of those that take another one than operator."""


def refuse_foreign_options(action: str, body: ActionRequest) -> None:
    """Raises ApiError 400: the request has an option that belongs to another action."""
    if body.keep_rows and action != "terminate":
        raise invalid("keep_rows belongs to terminate; leave it out")
    if body.resume_at is not None and action != "pause":
        raise invalid("resume_at belongs to pause; leave it out")
    if (body.force or body.partial) and action != "rollback":
        raise invalid("force and partial belong to rollback; leave them out")


async def carry_out(
    services: Services, job: Job, caller: Caller, action: str, body: ActionRequest, timeout: float = ANSWER_SECONDS
) -> Job:
    """Send one of `COMMANDS`; returns the job after it. Raises as `submit`, and ApiError 400."""
    refuse_foreign_options(action, body)
    command = COMMANDS[action](job.id, caller.name, body)
    if action == "rollback" and not body.partial and legality(job, command) == "move":
        problem = await partial_problem(services, job)
        if problem is not None:
            raise ApiError(409, f"{problem}; ask for that (partial: true; --partial)", {"state": job.state})
    after = await submit(services.commands, services.live, command, timeout)
    if job.draft and action == "terminate" and after.source.path is None:
        await in_storage_thread(DraftFile(services.settings.storage_root, job.id, None, 0).remove)
    return after


async def at_rest(services: Services, job: Job, action: str, seconds: float) -> tuple[Job, bool]:
    """The job after one of `COMMANDS`, and whether it has reached a resting state within so many seconds."""
    # A resumed job is RUNNING: there is no resting state to wait for.
    rests = action == "resume" or await services.live.until(job.id, _rests, seconds) is not None
    return services.view.jobs.get(job.id, job), rests


def _rests(job: Job) -> bool:
    return job.state in RESTING and not job.purging


async def change_rate(services: Services, job: Job, caller: Caller, body: Rate) -> Job:
    """Set the job's rate; returns the job after it. Raises as `submit`, and ApiError 400."""
    command = SetRate(job_id=job.id, by=caller.name, reason=body.reason, rows_per_second=body.rows_per_second)
    return await submit(services.commands, services.live, command)


async def announce_end(services: Services, job: Job, caller: Caller, body: InputEnd) -> Job:
    """Announce how many rows come by the inbox; returns the job after it. Raises as `submit`."""
    return await submit(services.commands, services.live, InputEnded(job_id=job.id, rows=body.rows, by=caller.name))
