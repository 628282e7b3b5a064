"""The services that the routes use, as one value, which the start of the process makes, or a test."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from starlette.requests import Request

from api.elastic.documents import Documents
from api.errors import ApiError, no_such_job, unavailable
from api.locks import NamedLocks
from api.mappings import Mappings
from api.outgoing.lookups import Lookups
from api.principals.audit import Audit
from api.principals.store import PrincipalStore
from api.readmodel.command_log import CommandLog
from api.readmodel.encoded_views import EncodedViews
from api.readmodel.event_loop import CachedValue
from api.readmodel.following.history import HistoryReader
from api.readmodel.group_members import GroupMembers
from api.readmodel.job_feed import JobFeed
from api.readmodel.job_index import JobIndex
from api.readmodel.metrics import Metrics
from api.remote.fetching import Fetches
from api.uploads.file_readers import FileReaders
from api.web.auth import Authenticator, Caller
from api.web.request_rates import RequestRates
from api.web.waiting_requests import WaitingRequests
from api.webhooks.managing import Asking, require_notify
from api.webhooks.store import WebhookStore
from api.webhooks.trying import Trials
from control.creation.admission import Catalog
from control.creation.quotas import exceeded
from runtime.files.storage import Storage
from runtime.settings import Settings
from schemas.job import Job, Options

_WAITING_SHARE: Final = 4
"""One connection in so many may be one of a request that waits for a job."""


@dataclass(slots=True)
class Services:
    """The services of one process."""

    settings: Settings
    catalog: Catalog
    live: JobFeed
    commands: CommandLog
    history: HistoryReader
    documents: Documents
    storage: Storage
    metrics: Metrics
    principals: PrincipalStore
    audit: Audit
    authenticator: Authenticator
    webhooks: WebhookStore
    trials: Trials
    members: GroupMembers | None = None
    """None: the number of workers is not known."""
    creating: NamedLocks = field(default_factory=NamedLocks)
    """The lock of a job's id is held while a request makes that job."""
    lookups: Lookups = field(default_factory=Lookups)
    files: FileReaders = field(default_factory=FileReaders)
    """For files of any size."""
    looks: FileReaders = field(default_factory=partial(FileReaders, "look"))
    """For the beginnings of files."""
    listing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """A request that goes through all jobs holds it: one at a time leaves the event loop free for other requests."""
    rates: RequestRates = field(default_factory=RequestRates)
    streams: Counter[str] = field(default_factory=Counter)
    """Organisation -> its open event streams, if it has any."""
    reading_history: asyncio.Lock = field(default_factory=asyncio.Lock)
    catch_up_seconds: float = 5.0
    """How long a request waits for a view that is not complete yet."""
    fetches: Fetches = field(init=False)
    waiting: WaitingRequests = field(init=False)
    elasticsearch_state: CachedValue[str] = field(init=False)
    mappings: Mappings = field(init=False)
    views: EncodedViews = field(init=False)

    def __post_init__(self) -> None:
        self.fetches = Fetches(self.lookups)
        self.waiting = WaitingRequests(max(1, self.settings.api_connections // _WAITING_SHARE))
        self.views = EncodedViews(self.view)
        self.mappings = Mappings(self.documents, self.settings.prefix)
        self.elasticsearch_state = CachedValue(self.documents.state)

    async def notified(self, options: Options, organisation: str) -> None:
        """Require that a job can tell those whom its options name. Raises ApiError 400 or 503."""
        await require_notify(self.webhooks, self.lookups, options, organisation, self.settings)

    @property
    def view(self) -> JobIndex:
        """The view of all jobs."""
        return self.live.view


def services_of(request: Request) -> Services:
    """The services of the app that serves this request."""
    found: Services = request.app.state.services
    return found


def caller(request: Request) -> Caller:
    """The caller who sends this request, found by `api/web/access.py`, for a page by `api/pages/access/gate.py`."""
    found: Caller = request.state.caller
    return found


def asking_of(request: Request) -> Asking:
    """Who asks, and what it may be, for what is done about webhooks."""
    services = services_of(request)
    return Asking(
        caller(request), address_of(request), services.settings, services.catalog, services.audit, services.lookups
    )


def count_request(services: Services, user: Caller) -> None:
    """Count a request, in the bucket of its caller.

    Raises:
        ApiError: 429, requests come too fast.
    """
    quotas = services.catalog.quotas
    everywhere = user.organisations is None
    rate = (
        quotas.default.requests_per_second if everywhere else quotas.widest("requests_per_second", user.organisations)
    )
    wait = services.rates.wait_seconds(user.bucket, rate)
    if wait > 0:
        problem = exceeded("requests_per_second", "" if everywhere else user.scope, rate, "requests come too fast")
        raise ApiError(problem.code, problem.message, problem.details, {"Retry-After": str(math.ceil(wait))})


def address_of(request: Request) -> str:
    """Where a request comes from; empty: not known."""
    return request.client.host if request.client is not None else ""


def route_of(request: Request) -> str:
    """The method and the route's path, with the names of what varies in it rather than values."""
    return f"{request.method} {getattr(request.scope.get('route'), 'path', '?')}"


async def visible_job(request: Request) -> Job:
    """The job that the request's path names, if its caller may see it.

    Raises:
        ApiError: 404; or 503 as long as the view is not complete.
    """
    requester = caller(request)
    await caught_up(services_of(request))
    job_id = request.path_params["job_id"]
    job = services_of(request).view.jobs.get(job_id)
    if job is None or not requester.may_see(job.organisation):
        raise no_such_job(job_id)
    request.state.job_id = job_id  # for the access log
    return job


async def caught_up(services: Services) -> None:
    """Wait up to `catch_up_seconds` until the view is complete, which it is soon after the start of the process.

    Raises:
        ApiError: 503, the view is still not complete.
    """
    try:
        async with asyncio.timeout(services.catch_up_seconds):
            await services.live.until_caught_up()
    except TimeoutError:
        raise unavailable(
            "the API is still reading its topics from Kafka; try again in a moment, and check `sluice status`"
        ) from None
