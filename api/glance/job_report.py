"""The report of a job: what was asked, by whom, what happened, counts, row errors by reason, times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from api.errors import ApiError, RemovedError
from api.glance.error_groups import groups_of
from api.glance.models import ErrorGroups, JobReport, Times
from api.jobs.reading.history import entries
from api.jobs.reading.job_view import job_view
from api.jobs.reading.queries import MOST_HISTORY, records_of
from api.models.jobs import JobView
from api.web.services import Services
from runtime.clock import now_ms
from runtime.text.formatting import iso_time
from schemas.job import ENDED, PAUSES, Job, State
from schemas.messages.events import History, JobEvent

MOST_REASONS: Final = 20
_WAITING: Final = PAUSES | {State.FAILED}


async def report_of(services: Services, job: Job) -> JobReport:
    """The report of a job as it is now. Elasticsearch may be out of reach.

    Raises:
        ApiError: 503, Kafka does not answer.
    """
    now, records = now_ms(), await records_of(services, job)
    view = job_view(job, services.view, now)
    return JobReport(
        job=replace(view, lanes=[]),
        ended=job.state in ENDED,
        written_at=iso_time(now) or "",
        times=times(job, view, records, now),
        errors=await _errors(services, job),
        history=entries(records),
        earlier=max(0, len(services.view.event_offsets(job.id)) - MOST_HISTORY),
    )


def times(job: Job, view: JobView, history: Iterable[History], now: int) -> Times:
    """How long the job took, from its history."""
    end = job.ended_at if job.state in ENDED and job.ended_at is not None else now
    length = None if job.started_at is None else max(0, end - job.started_at) / 1000
    waited = _waited_ms(history, end) / 1000
    done = view.progress.rows_applied + view.progress.rows_failed
    at_work = None if length is None else max(0.0, length - waited)
    return Times(
        created_at=view.created_at,
        started_at=view.started_at,
        ended_at=view.ended_at,
        seconds=length,
        seconds_paused=round(waited, 3),
        rows_per_second=round(done / at_work, 1) if at_work else None,
    )


def _waited_ms(history: Iterable[History], end: int) -> int:
    waited, since = 0, None
    for record in history:
        if not isinstance(record, JobEvent):
            continue
        if record.state in _WAITING:
            since = record.at if since is None else since
        elif since is not None:
            waited, since = waited + max(0, record.at - since), None
    return waited + (max(0, end - since) if since is not None else 0)


async def _errors(services: Services, job: Job) -> ErrorGroups | None:
    if job.source.kind == "query":
        return None
    try:
        return await groups_of(services, job, MOST_REASONS)
    except RemovedError:
        return None
    except ApiError as error:
        if error.code != 503:
            raise
        return None
