"""Numbers for Prometheus: requests as they are served, jobs as the view knows them."""

from __future__ import annotations

import time
from collections import Counter as Count
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.job_json import applied_totals
from api.view import View
from schemas.job import State


class _Jobs(Collector):
    def __init__(self, view: View) -> None:
        self._view = view

    def collect(self) -> Iterable[Metric]:
        jobs = GaugeMetricFamily("sluice_jobs", "Jobs known, by state", labels=["state"])
        counts = Count(job.state for job in self._view.jobs.values())
        for state in State:
            jobs.add_metric([str(state)], counts[state])
        yield jobs
        applied = failed = 0
        for job in self._view.jobs.values():
            totals = applied_totals(job, self._view.lanes(job.id))
            applied += totals.rows_applied
            failed += totals.rows_failed
        yield GaugeMetricFamily("sluice_rows_applied", "Rows applied by the jobs known", value=applied)
        yield GaugeMetricFamily("sluice_rows_failed", "Row errors of the jobs known", value=failed)


class Metrics:
    """A registry of this process's own, so that tests can have several."""

    def __init__(self, view: View) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Jobs(view))
        labels = ("method", "route", "code")
        self.requests = Counter("sluice_api_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram(
            "sluice_api_request_seconds",
            "Seconds until an answer begins",
            ("method", "route"),
            buckets=(0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 120),
            registry=self.registry,
        )


class MetricsMiddleware:
    """Counts and times every answer; streams pass through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                metrics: Metrics = scope["app"].state.services.metrics
                # The route's pattern, not the path: ids would make a series each.
                route = getattr(scope.get("route"), "path", "none")
                metrics.requests.labels(scope["method"], route, str(message["status"])).inc()
                metrics.seconds.labels(scope["method"], route).observe(time.perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, counted)
