"""What the routes work with, as one value: made at the start of the process, or by a test."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from elasticsearch import AsyncElasticsearch
from starlette.requests import Request

from api.errors import no_such_job, unavailable
from api.readmodel.command_log import CommandLog
from api.readmodel.history import HistoryReader
from api.readmodel.job_feed import JobFeed
from api.readmodel.job_index import JobIndex
from api.readmodel.metrics import Metrics
from api.readmodel.turns import Recent
from api.uploads.file_readers import FileReaders
from api.web.auth import Caller, caller_of
from api.web.readiness import elasticsearch_state
from control.admission import Catalog
from runtime.settings import Settings
from runtime.storage import Storage
from schemas.ids import JOB_ID
from schemas.job import Job


@dataclass(slots=True)
class Services:
    """The process's parts."""

    settings: Settings
    catalog: Catalog
    live: JobFeed
    commands: CommandLog
    history: HistoryReader
    elasticsearch: AsyncElasticsearch
    storage: Storage
    metrics: Metrics
    key: str | None
    """The admin's API key."""
    creating: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    """Locks of jobs that are being made; each is gone with the last request that holds or awaits it."""
    files: FileReaders = field(default_factory=FileReaders)
    listing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever goes through all jobs: one at a time, so that a turn of the loop stays short."""
    reading_history: asyncio.Lock = field(default_factory=asyncio.Lock)
    catch_up_seconds: float = 5.0
    """A request waits so long for a view that is not complete yet."""
    elasticsearch_state: Recent[str] = field(init=False)

    def __post_init__(self) -> None:
        self.elasticsearch_state = Recent(lambda: elasticsearch_state(self.elasticsearch))

    @property
    def view(self) -> JobIndex:
        """The picture of every job."""
        return self.live.view


def services(request: Request) -> Services:
    """The services of the app that serves this request."""
    found: Services = request.app.state.services
    return found


def caller(request: Request) -> Caller:
    """Who sends this request.

    Raises:
        ApiError: 401 or 403.
    """
    known: Caller | None = getattr(request.state, "caller", None)  # of a page, see api/pages/gate.py
    if known is not None:
        return known
    parts = services(request)
    return caller_of(request.headers, request.method, parts.key, require_key=parts.settings.api_require_key)


async def visible_job(request: Request) -> Job:
    """The job that the request's path names, if its caller may see it.

    Raises:
        ApiError: 401, 403, 404; or 503 as long as the view is not complete.
    """
    asking = caller(request)
    await caught_up(services(request))
    job_id = request.path_params["job_id"]
    job = services(request).view.jobs.get(job_id)
    if job is None or not asking.may_see(job.organisation):
        raise no_such_job(job_id if JOB_ID.match(job_id) else "with this id")
    return job


async def caught_up(parts: Services) -> None:
    """Wait a little for a view that is not complete yet: right after the start of the process it soon is.

    Raises:
        ApiError: 503, it still is not.
    """
    try:
        async with asyncio.timeout(parts.catch_up_seconds):
            await parts.live.until_caught_up()
    except TimeoutError:
        raise unavailable(
            "the API is still reading its topics from Kafka; try again in a moment, and check `sluice status`"
        ) from None


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
