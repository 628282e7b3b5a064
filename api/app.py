"""The application: its routes, what surrounds them, and what they need while they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import health as status
from api.errors import ApiError
from api.jobs import queries as reports
from api.jobs.actions import COMMANDS, act, end_input, set_rate
from api.jobs.create import create_job
from api.jobs.dry_runs import get_preview, start_job
from api.jobs.event_stream import watch_job
from api.jobs.export_file import get_result
from api.jobs.retry_errors import retry_errors
from api.pages.gate import on_http_error
from api.pages.routes import page_routes
from api.readmodel.command_log import CommandLog
from api.readmodel.follower import Follower
from api.readmodel.history import HistoryReader
from api.readmodel.job_feed import JobFeed
from api.readmodel.metrics import Metrics, MetricsMiddleware
from api.uploads.leftovers import tidy
from api.web.auth import admin_key
from api.web.capped import CappedNode
from api.web.middleware import KnownHosts, UnexpectedErrors
from api.web.responses import on_api_error
from api.web.services import Services
from control.admission import Catalog
from control.kinds import kinds
from runtime.clients import async_elasticsearch
from runtime.datasets import load_datasets
from runtime.settings import Settings
from runtime.storage import open_storage

Handler = Callable[[Request], Awaitable[Response]]
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]

_GET: dict[str, Handler] = {
    "/v1/jobs": reports.list_jobs,
    "/v1/jobs/{job_id}": reports.get_job,
    "/v1/jobs/{job_id}/watch": watch_job,
    "/v1/jobs/{job_id}/history": reports.get_history,
    "/v1/jobs/{job_id}/errors": reports.get_errors,
    "/v1/jobs/{job_id}/errors.csv": reports.get_errors_csv,
    "/v1/jobs/{job_id}/preview": get_preview,
    "/v1/jobs/{job_id}/result": get_result,
    "/v1/datasets": reports.list_datasets,
    "/v1/stats": reports.get_stats,
    "/healthz": status.healthz,
    "/readyz": status.readyz,
    "/metrics": status.metrics,
    "/openapi.json": status.openapi,
}


def routes() -> list[Route]:
    """Every route."""
    posts: dict[str, Handler] = {f"/v1/jobs/{{job_id}}/{action}": _acting(action) for action in COMMANDS}
    posts |= {"/v1/jobs/{job_id}/start": start_job, "/v1/jobs/{job_id}/retry-errors": retry_errors}
    return [
        Route("/v1/jobs", _either(GET=reports.list_jobs, POST=create_job), methods=["GET", "POST"]),
        *(Route(path, handler, methods=["GET"]) for path, handler in _GET.items() if path != "/v1/jobs"),
        *(Route(path, handler, methods=["POST"]) for path, handler in posts.items()),
        Route("/v1/jobs/{job_id}/end", end_input, methods=["POST"]),
        Route("/v1/jobs/{job_id}/rate", set_rate, methods=["PUT"]),
        *page_routes(),
    ]


def _acting(action: str) -> Handler:
    async def handler(request: Request) -> Response:
        return await act(request, action)

    return handler


def _either(**handlers: Handler) -> Handler:
    """One route for several methods: two would make Starlette name only the first one's in a 405."""

    async def handler(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return handler


def application(settings: Settings, lifespan: Lifespan) -> Starlette:
    """The app; `lifespan` puts a Services into ``app.state.services``."""
    middleware = [Middleware(MetricsMiddleware), Middleware(UnexpectedErrors)]
    if not settings.api_require_key:
        # A page of another site can make its name mean 127.0.0.1; then the Host header tells.
        hosts = ["localhost", "127.0.0.1", "::1", "testserver", settings.api_host]
        middleware.append(Middleware(KnownHosts, hosts=frozenset(hosts)))
    return Starlette(
        routes=routes(),
        middleware=middleware,
        exception_handlers={ApiError: on_api_error, HTTPException: on_http_error},
        lifespan=lifespan,
    )


def create_app(settings: Settings) -> Starlette:
    """The app on real Kafka and Elasticsearch."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        live = JobFeed()
        commands, history = CommandLog(settings, loop), HistoryReader(settings)
        client = async_elasticsearch(settings, node=CappedNode)
        app.state.services = Services(
            settings=settings,
            catalog=Catalog(kinds(settings.operations), load_datasets(settings.datasets_folder)),
            live=live,
            commands=commands,
            history=history,
            elasticsearch=client,
            storage=open_storage(settings),
            metrics=Metrics(live.view),
            key=admin_key(settings),
        )

        def caught_up() -> None:
            live.set_caught_up()
            if settings.ready_file is not None:
                settings.ready_file.touch()

        follower = Follower(settings, loop, live.take, caught_up)
        follower.start()
        tidying = asyncio.create_task(tidy(settings.storage_root))
        try:
            yield
        finally:
            tidying.cancel()
            app.state.services.files.close()
            await asyncio.to_thread(follower.stop)
            await asyncio.to_thread(commands.stop)
            await asyncio.to_thread(history.close)
            await client.close()

    return application(settings, lifespan)
