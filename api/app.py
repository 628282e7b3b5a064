"""The ASGI application: its routes, its middleware, and the services that the routes use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka.admin import AdminClient
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from api.elastic.answer_limit import LimitedNode
from api.elastic.documents import Documents
from api.errors import ApiError
from api.jobs.creation.drafts import end_drafts
from api.outgoing.lookups import Lookups
from api.pages.access.gate import on_http_error
from api.pages.routes import page_routes
from api.principals.audit import Audit, KafkaEventWriter, decode_event
from api.principals.feed import PrincipalFeed, decode_principal
from api.principals.recent_events import KEPT_IN_ALL
from api.principals.signer import CommandSigner
from api.principals.store import KafkaPrincipalWriter, PrincipalStore
from api.readmodel.appender import Appender
from api.readmodel.command_log import CommandLog
from api.readmodel.following.follower import Followed, Follower
from api.readmodel.following.history import HistoryReader
from api.readmodel.following.job_follower import OlderHistory, history_read_since, job_follower
from api.readmodel.group_members import GroupMembers
from api.readmodel.job_feed import JobFeed
from api.readmodel.metrics import Metrics, MetricsMiddleware
from api.routes.rest import ENDPOINTS
from api.uploads.abandoned_parts import clean_up
from api.uploads.claiming import claim_storage
from api.web.access import guarded
from api.web.access_log import AccessLog
from api.web.auth import Authenticator, admin_key
from api.web.middleware import KnownHosts, UnexpectedErrors
from api.web.readiness import ControlWatch
from api.web.responses import on_api_error
from api.web.routing import starlette_routes
from api.web.services import Services
from api.webhooks.metrics import WebhookMetrics
from api.webhooks.posting import Connections
from api.webhooks.sending import Sending, connections_by, followed
from api.webhooks.store import KafkaWebhookWriter, WebhookStore
from api.webhooks.trying import Trials
from control.creation.admission import Catalog
from control.creation.kinds import kinds
from runtime.clients import async_elasticsearch, librdkafka_config
from runtime.clock import now_ms
from runtime.datasets import load_datasets
from runtime.files.storage import Storage, open_storage
from runtime.process import CannotStartError, end
from runtime.readiness import Readiness
from runtime.settings import Settings
from runtime.telemetry.exporter import serve
from runtime.telemetry.log_events import as_event

log = logging.getLogger(__name__)

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def routes() -> list[BaseRoute]:
    """Every route."""
    return [*starlette_routes(ENDPOINTS, guarded), *page_routes()]


def application(settings: Settings, lifespan: Lifespan) -> Starlette:
    """The app; `lifespan` puts a Services into ``app.state.services``."""
    middleware = [Middleware(MetricsMiddleware), Middleware(UnexpectedErrors)]
    if settings.api_access_log:
        middleware.insert(0, Middleware(AccessLog))
    if not settings.api_require_key:
        # A web page may let its own host name resolve to 127.0.0.1 (DNS rebinding); the Host header shows that.
        hosts = ["localhost", "127.0.0.1", "::1", settings.api_host]
        middleware.append(Middleware(KnownHosts, hosts=frozenset(hosts)))
    return Starlette(
        routes=routes(),
        middleware=middleware,
        exception_handlers={ApiError: on_api_error, HTTPException: on_http_error},
        lifespan=lifespan,
    )


def create_app(settings: Settings, readiness: Readiness | None = None) -> Starlette:
    """The app, with clients of Kafka and Elasticsearch. `readiness` is told once it is ready.

    Raises:
        CannotStartError, DatasetError, StorageError, KafkaException: the settings do not fit.
    """
    process = _prepared(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with _running(process, readiness) as services:
            app.state.services = services
            yield

    return application(settings, lifespan)


@dataclass(frozen=True, slots=True)
class _Process:
    """What there is before the event loop."""

    settings: Settings
    catalog: Catalog
    storage: Storage
    live: JobFeed
    control: ControlWatch
    metrics: Metrics
    webhook_metrics: WebhookMetrics
    lookups: Lookups
    connections: Callable[[], Connections]


def _prepared(settings: Settings) -> _Process:
    catalog = Catalog(
        kinds(settings.operations), load_datasets(settings.datasets_folder), settings.quotas, settings.seal_blocks
    )
    storage = open_storage(settings)
    settings.storage_root.mkdir(parents=True, exist_ok=True)
    live = JobFeed()
    control = ControlWatch(live)
    metrics = Metrics(live.view, lambda: control.works)
    webhook_metrics = WebhookMetrics(metrics.registry)
    serve(settings, metrics.registry, lambda: control.works)
    lookups = Lookups()
    connections = connections_by(settings, lookups)
    # Made and thrown away: it reads the files of certificates, and refuses what does not fit.
    AdminClient({**librdkafka_config(settings), "log_level": 2})
    return _Process(settings, catalog, storage, live, control, metrics, webhook_metrics, lookups, connections)


@asynccontextmanager
async def _running(process: _Process, readiness: Readiness | None) -> AsyncIterator[Services]:
    """Start the followers of topics, the sending of webhooks and the periodic tasks; stop all of them at the end."""
    settings, live, loop = process.settings, process.live, asyncio.get_running_loop()
    appender, history = Appender(settings, loop), HistoryReader(settings)
    elasticsearch = async_elasticsearch(settings, node=LimitedNode)
    services = _services(process, appender, history, Documents(elasticsearch))
    sending = Sending(settings, loop, services.webhooks, process.connections, process.webhook_metrics)
    older = OlderHistory(settings, loop, live)

    def caught_up() -> None:
        live.set_caught_up()
        older.start()
        try:
            if readiness is not None:
                readiness.mark()
        except CannotStartError as error:
            log.critical("the API ends: %s", error, extra=as_event("process.failed"))
            end(1)

    followers = _followers(services, loop, caught_up)
    for follower in followers:
        follower.start()
    sending.start()
    tending = [
        asyncio.create_task(claim_storage(settings.storage_root, partial(appender.end_of, "jobs"))),
        asyncio.create_task(clean_up(settings.storage_root)),
        asyncio.create_task(end_drafts(services)),
        asyncio.create_task(process.metrics.keep_fresh()),
        asyncio.create_task(process.control.run(services.commands.answers)),
    ]
    try:
        yield services
    finally:
        for task in tending:
            task.cancel()
        services.files.close()
        services.looks.close()
        await sending.stop()
        process.lookups.close()
        await asyncio.gather(*(asyncio.to_thread(stop) for stop in (older.stop, *(one.stop for one in followers))))
        await asyncio.to_thread(appender.stop)
        await asyncio.to_thread(history.close)
        await elasticsearch.close()
        if services.authenticator.provider is not None:
            await services.authenticator.provider.close()


def _services(process: _Process, appender: Appender, history: HistoryReader, documents: Documents) -> Services:
    settings, writer = process.settings, KafkaPrincipalWriter(appender)
    principals = PrincipalStore(PrincipalFeed(), writer)
    audit = Audit(KafkaEventWriter(appender))
    return Services(
        settings=settings,
        catalog=process.catalog,
        live=process.live,
        commands=CommandLog(appender, CommandSigner(writer).headers),
        history=history,
        documents=documents,
        storage=process.storage,
        metrics=process.metrics,
        members=GroupMembers(settings),
        principals=principals,
        audit=audit,
        authenticator=Authenticator(settings, principals, audit, admin_key(settings)),
        webhooks=WebhookStore(KafkaWebhookWriter(appender)),
        trials=Trials(process.connections, settings.api),
        lookups=process.lookups,
    )


def _followers(services: Services, loop: asyncio.AbstractEventLoop, caught_up: Callable[[], None]) -> list[Follower]:
    """What keeps the view and the small tables. `caught_up`: called once, when the view is complete."""
    settings, live, feed = services.settings, services.live, services.principals.feed
    read_since = history_read_since(settings, now_ms())
    live.set_history_incomplete(read_since)
    small: list[Followed[Any]] = [
        Followed(["principals"], lambda: decode_principal, feed.take, feed.set_caught_up),
        Followed(["security-events"], lambda: decode_event, services.audit.take, newest=KEPT_IN_ALL),
        *followed(services.webhooks),
    ]
    return [
        job_follower(settings, loop, live.take, caught_up, lambda: not live.caught_up, read_since),
        # One consumer for all of them: each has threads and buffers of its own.
        Follower(settings, loop, small),
    ]
