"""Which actions the page offers for a job now: those that the control agent would carry out. Pure."""

from __future__ import annotations

from typing import Final

from api.jobs.actions import COMMANDS, ROLES
from api.jobs.reading.downloads import result_problem
from api.models.requests import ActionRequest
from control.creation.admission import Catalog, makes_file
from control.creation.starting import real_job
from control.errors import Rejected
from control.moves import legality
from control.predicates import held, paused_itself
from schemas.job import Job, Source, State
from schemas.messages.commands import Request, RetryErrors, SetRate, StartJob
from schemas.policies.principals import Role

_OTHERS: Final = ("rate", "retry-errors", "start")
ALL: Final = (*COMMANDS, *_OTHERS)


def available_actions(job: Job, catalog: Catalog, role: Role = Role.ADMIN) -> frozenset[str]:
    """Names of the commands that change this job now, as in REST's paths; also ``keep-rows``, ``timer``, ``again`` and
    ``result``.

    Who may only read is offered the result alone.
    """
    found = {name for name in ALL if role.covers(ROLES.get(name, Role.OPERATOR)) and _moves(job, name)}
    if "terminate" in found and not makes_file(job.operation, catalog):
        found.add("keep-rows")
    if held(job) and not paused_itself(job):
        found.add("timer")
    if job.ended_at is not None and job.source.kind == "file" and job.source.sha256 is not None:
        found.add("again")
    if result_problem(job) is None:
        found.add("result")
    return frozenset(found)


def _moves(job: Job, name: str) -> bool:
    command: Request
    match name:
        case "start" if job.state is State.DRAFT:
            return True
        case "start":
            return not isinstance(real_job(StartJob(job_id=job.id, dry_run=job.id), job), Rejected)
        case "retry-errors":
            command = RetryErrors(job_id=job.id, source=Source())
        case "rollback" if job.options.dry_run:
            return False  # a dry run has written nothing
        case "pause" if held(job):
            return False  # it only sets another time
        case "rate":
            command = SetRate(job_id=job.id)
        case "rollback":
            # A job that is rolled back may be once more with force, if others had changed documents.
            with_force = legality(job, COMMANDS[name](job.id, "", ActionRequest(force=True))) == "move"
            return with_force or legality(job, COMMANDS[name](job.id, "", ActionRequest())) == "move"
        case _:
            command = COMMANDS[name](job.id, "", ActionRequest())
    return legality(job, command) == "move"
