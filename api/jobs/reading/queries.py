"""What is only read: jobs, their history and row errors; datasets."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaException

from api.errors import KafkaUnavailableError, require_kept, unavailable
from api.jobs.reading.history import entries
from api.jobs.reading.job_view import job_view
from api.jobs.reading.paging import Query, newest, page_of
from api.jobs.reading.row_errors import error_page
from api.models.installation import DatasetView, FieldView
from api.models.jobs import HistoryEntry
from api.models.reports import RowErrorPage
from api.readmodel.event_loop import time_slices
from api.web.auth import Caller
from api.web.services import Services
from runtime.clock import now_ms
from schemas.descriptors.datasets import Dataset
from schemas.indices import index_name
from schemas.job import Job
from schemas.messages.events import History

MOST_HISTORY: Final = 500
"""Records of a job's history in an answer."""
_HISTORY_SECONDS = 15.0
_JOBS_A_TURN = 1000
_SHOWN_A_TURN = 10


class _EncodedPage(msgspec.Struct, frozen=True):
    """`JobPage`, with jobs that are JSON already."""

    jobs: list[msgspec.Raw]
    next: str | None


async def page_of_all(services: Services, query: Query, asking: Caller) -> tuple[list[Job], str | None]:
    """A page of all jobs, as `page` answers it."""
    shown, following = await _brief_page(services, query, asking)
    return [services.view.jobs.get(job.id, job) for job in shown], following


async def _brief_page(services: Services, query: Query, asking: Caller) -> tuple[list[Job], str | None]:
    """The same, with those that have ended in brief."""
    found: list[Job] = []
    async with services.listing:
        async for some in time_slices(services.view.jobs.values(), _JOBS_A_TURN):
            found = newest(found, some, query, asking)
    return page_of(found, query)


async def job_page(services: Services, query: Query, asking: Caller) -> bytes:
    """A page of all jobs, as callers see them: a `JobPage` in JSON."""
    jobs, following = await _brief_page(services, query, asking)
    now, shown = now_ms(), []

    def encoded(job: Job) -> bytes:
        return msgspec.json.encode(job_view(job, services.view, now))

    async for some in time_slices(jobs, _SHOWN_A_TURN):
        shown += [services.views.of(job, encoded) for job in some]
    return msgspec.json.encode(_EncodedPage(shown, following))


async def history_of(services: Services, job: Job) -> list[HistoryEntry]:
    """A job's audit trail, oldest first: its last `MOST_HISTORY` records. Raises as `records_of`."""
    return entries(await records_of(services, job))


async def records_of(services: Services, job: Job) -> list[History]:
    """The last `MOST_HISTORY` records of a job's history, oldest first; some may be there twice.

    Raises:
        ApiError: 503, Kafka does not answer.
    """
    try:
        async with asyncio.timeout(_HISTORY_SECONDS):
            await services.live.until_history_complete(job)
            # One request at a time: the consumer serves one, and threads that wait for it would be missing elsewhere.
            async with services.reading_history:
                offsets = services.view.event_offsets(job.id)[-MOST_HISTORY:]
                return await asyncio.to_thread(services.history.read, offsets)
    except TimeoutError as error:
        raise unavailable("the history is kept in Kafka, which is slow to answer; try again") from error
    except (KafkaUnavailableError, KafkaException) as error:
        raise unavailable(f"the history is kept in Kafka, which does not answer ({error}); try again") from error


async def errors_of(
    services: Services, job: Job, limit: int, after: int | None = None, like: int | None = None
) -> RowErrorPage:
    """A page of a job's row errors. Raises as `error_page`, and RemovedError."""
    require_kept(job, "row_errors")
    index = index_name(services.settings.prefix, "errors")
    return await error_page(services.documents, index, job.id, limit, after, like)


def dataset_view(dataset: Dataset) -> DatasetView:
    """A dataset as callers see it."""
    described: dict[str, dict[str, Any]] = {item["name"]: item for item in dataset.descriptor.get("fields", [])}
    return DatasetView(
        name=dataset.name,
        title=dataset.title,
        primary_key=list(dataset.primary_key),
        key_scope=dataset.key_scope,
        mode=dataset.mode,
        modes=list(dataset.modes),
        date_field=dataset.date_field,
        fields=[
            FieldView(
                name=field.name,
                type=field.type,
                format=field.format,
                required=field.required,
                unique=field.unique,
                pattern=field.pattern,
                enum=list(field.enum),
                title=str(described.get(field.name, {}).get("title", field.name)),
                description=str(described.get(field.name, {}).get("description", "")),
                aliases=list(field.aliases),
                default=described.get(field.name, {}).get("sluice", {}).get("default"),
            )
            for field in dataset.fields
        ],
    )
