"""One command for many jobs: a command in the log for each of them, all appended before the first answer is waited for.

Jobs that come to fit meanwhile (one that was queued starts, say) are asked for in a further round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from api.errors import ApiError, invalid, no_such_job
from api.glance.models import MOST_NAMED, ManyAnswer, ManyRequest, Outcome
from api.jobs.actions import COMMANDS, carry_out, refuse_foreign_options
from api.jobs.reading.job_view import progress
from api.jobs.reading.paging import Query, fits, query_of
from api.jobs.reading.times import time_in
from api.jobs.waiting import waiting_for
from api.models.requests import ActionRequest
from api.readmodel.command_log import ANSWER_SECONDS
from api.readmodel.event_loop import time_slices
from api.web.auth import Caller
from api.web.services import Services
from control.errors import Rejected
from control.moves import legality
from schemas.job import BUSY, RESTING, Job, State

_ROUNDS: Final = 3
_AT_ONCE: Final = 2000
"""Commands that are appended before the first of them has to be answered."""
_JOBS_A_SECOND: Final = 50
"""The control agent carries out more than that; the time for an answer grows with the number of commands."""
_ORDER: Final = ("refused", "unanswered", "under_way", "left", "done", "concerned")


async def act_on_many(services: Services, asking: Caller, asked: ManyRequest, wait: float = 0.0) -> ManyAnswer:
    """Send the command for each job that is asked for; wait up to `wait` seconds until they rest.

    Raises:
        ApiError: 400, the request does not say which jobs, or what can't be.
    """
    query = _query(asked, services)
    refuse_foreign_options(asked.action, _body(asked))
    time_in("resume_at", asked.resume_at)
    if asked.preview:
        found, others = await _chosen(services, asking, asked, query)
        return _answer(services, asked, found, [*others, *(_outcome(job, "concerned") for job in found)])
    sent: dict[str, Job] = {}
    outcomes: dict[str, Outcome] = {}
    for _ in range(_ROUNDS):
        found, others = await _chosen(services, asking, asked, query)
        outcomes = {**{other.id: other for other in others}, **outcomes}
        fresh = [job for job in found if job.id not in sent]
        if not fresh:
            break
        sent |= {job.id: job for job in fresh}
        for first in range(0, len(fresh), _AT_ONCE):
            some = fresh[first : first + _AT_ONCE]
            for outcome in await asyncio.gather(*(_one(services, asking, asked, job, len(some)) for job in some)):
                outcomes[outcome.id] = outcome
        if query is None:
            break
    if wait and asked.action != "resume":
        outcomes |= await _at_rest(
            services, [other for other in outcomes.values() if other.outcome == "under_way"], wait
        )
    return _answer(services, asked, list(sent.values()), list(outcomes.values()))


def _query(asked: ManyRequest, services: Services) -> Query | None:
    """The jobs that are asked for without being named; None: they are named."""
    if [asked.jobs is not None, asked.filter is not None, asked.all].count(True) != 1:
        raise invalid("say which jobs: jobs (a list of ids), filter (state, operation, organisation), or all: true")
    if asked.jobs is not None:
        return None
    chosen = asked.filter
    names = (
        {"state": chosen.state, "operation": chosen.operation, "organisation": chosen.organisation} if chosen else {}
    )
    if chosen and not any(names.values()):
        raise invalid("the filter is empty: name a state, an operation or an organisation, or say all: true")
    pairs = [(name, value) for name, values in names.items() for value in values]
    return query_of(pairs, services.catalog.operations)


async def _chosen(
    services: Services, asking: Caller, asked: ManyRequest, query: Query | None
) -> tuple[list[Job], list[Outcome]]:
    """The jobs that the command is for, the busiest first; and what there is to say of others.

    Leaves out jobs that are not named and that the command would not change, unless they are at work: a person who
    stops all jobs wants to know which can't be stopped now.
    """
    found: list[Job] = []
    others: list[Outcome] = []
    if query is None:
        for job_id in dict.fromkeys(asked.jobs or ()):
            job = services.view.jobs.get(job_id)
            if job is None or not asking.may_see(job.organisation):
                others.append(Outcome(id=job_id, outcome="refused", state=None, message=no_such_job(job_id).message))
            elif asked.preview and isinstance(problem := _legality(job, asked), Rejected):
                others.append(_outcome(job, "refused", problem.message))
            else:
                found.append(job)
        return found, others
    async with services.listing:
        async for some in time_slices(services.view.jobs.values(), 1000):
            for job in some:
                if not fits(job, query, asking):
                    continue
                match _legality(job, asked):
                    case Rejected(message=message) if asked.action == "pause" and job.state is State.QUEUED:
                        others.append(_outcome(job, "left", message))
                    case Rejected() if asked.action == "pause" and job.state in BUSY and job.state not in RESTING:
                        others.append(_outcome(job, "under_way", waiting_for(job)))
                    case Rejected():
                        pass
                    case "already" if job.state in RESTING or asked.action == "resume":
                        pass
                    case _ if _timer_only(job, asked):
                        pass
                    case _:
                        found.append(job)
    found.sort(key=lambda job: services.view.rows_per_second(job.id, 0) or 0.0, reverse=True)
    return found, others


def _timer_only(job: Job, asked: ManyRequest) -> bool:
    """Whether the command would only give a job that rests another time: that is meant for jobs that are named."""
    if asked.action == "resume":
        return job.state is State.QUEUED
    return asked.action == "pause" and asked.resume_at is not None and job.state in RESTING


def _body(asked: ManyRequest) -> ActionRequest:
    """What each single job is asked for."""
    return ActionRequest(
        reason=asked.reason,
        keep_rows=asked.keep_rows,
        resume_at=asked.resume_at,
        force=asked.force,
        partial=asked.partial,
    )


def _legality(job: Job, asked: ManyRequest) -> str | Rejected:
    return legality(job, COMMANDS[asked.action](job.id, "", _body(asked)))


async def _one(services: Services, asking: Caller, asked: ManyRequest, job: Job, beside: int) -> Outcome:
    if _legality(job, asked) == "already" and job.state not in RESTING:
        return _standing(asked, job)  # it is on its way there
    timeout = ANSWER_SECONDS + beside / _JOBS_A_SECOND
    try:
        return _standing(asked, await carry_out(services, job, asking, asked.action, _body(asked), timeout))
    except ApiError as error:
        recorded = error.details.get("recorded", False)
        return _outcome(services.view.jobs.get(job.id, job), "unanswered" if recorded else "refused", error.message)


def _standing(asked: ManyRequest, job: Job) -> Outcome:
    if asked.action == "resume" or (job.state in RESTING and not job.halting):
        return _outcome(job, "done")
    return _outcome(job, "under_way", waiting_for(job))


async def _at_rest(services: Services, left: Sequence[Outcome], seconds: float) -> dict[str, Outcome]:
    async def one(outcome: Outcome) -> Outcome:
        job = await services.live.until(outcome.id, lambda now: now.state in RESTING, seconds)
        if job is not None:
            return _outcome(job, "done")
        now = services.view.jobs.get(outcome.id)
        return outcome if now is None else _outcome(now, "under_way", waiting_for(now))

    return {outcome.id: outcome for outcome in await asyncio.gather(*map(one, left))}


def _outcome(job: Job, outcome: str, message: str | None = None) -> Outcome:
    return Outcome(id=job.id, outcome=outcome, state=job.state, message=message)  # type: ignore[arg-type]


def _answer(services: Services, asked: ManyRequest, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> ManyAnswer:
    applied = left = 0
    for job in jobs:
        done = progress(services.view.jobs.get(job.id, job), services.view.lanes(job.id), None)
        applied += done.rows_applied
        left += max(0, (done.rows_total or 0) - done.rows_applied - done.rows_failed)
    counts = {name: sum(outcome.outcome == name for outcome in outcomes) for name in _ORDER}
    return ManyAnswer(
        action=asked.action,
        jobs=len(jobs),
        rows_applied=applied,
        rows_left=left,
        done=counts["done"],
        under_way=counts["under_way"],
        refused=counts["refused"],
        unanswered=counts["unanswered"],
        left=counts["left"],
        outcomes=sorted(outcomes, key=lambda outcome: _ORDER.index(outcome.outcome))[:MOST_NAMED],
    )
