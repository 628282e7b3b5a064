"""Metrics for Prometheus: the requests served, and the jobs in the view."""

from __future__ import annotations

import asyncio
import time
from collections import Counter as Count
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.readmodel.event_loop import CachedValue, time_slices
from api.readmodel.job_index import JobIndex
from api.readmodel.totals import applied_totals, pending
from runtime.telemetry.metrics import ProcessMetrics
from runtime.telemetry.tracing import span
from schemas.job import ENDED, State

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OPEN: Final = tuple(state for state in State if state not in ENDED)
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OTHER: Final = "other"
_JOBS_PER_SLICE: Final = 500
FRESH_SECONDS: Final = 2.0
"""How old the counts of jobs are on the port of the metrics, at most."""


@dataclass(slots=True)
class _Totals:
    states: Count[State] = field(default_factory=Count)
    applied: int = 0
    failed: int = 0
    pending_rows: Count[State] = field(default_factory=Count)
    pending_blocks: Count[State] = field(default_factory=Count)
    lanes: Count[State] = field(default_factory=Count)


class _Jobs(Collector):
    def __init__(self) -> None:
        self.totals = _Totals()

    def collect(self) -> Iterable[Metric]:
        jobs = GaugeMetricFamily("sluice_jobs", "Jobs known, by state", labels=["state"])
        for state in State:
            jobs.add_metric([str(state)], self.totals.states[state])
        yield jobs
        for name, what, counts in (
            ("sluice_pending_rows", "Rows of jobs that are still to be dealt with", self.totals.pending_rows),
            ("sluice_pending_blocks", "Blocks in Kafka that are still to be dealt with", self.totals.pending_blocks),
            ("sluice_lanes", "Lanes (a job on a partition) of jobs that have not ended", self.totals.lanes),
        ):
            family = GaugeMetricFamily(name, f"{what}, by the job's state", labels=["state"])
            for state in OPEN:
                family.add_metric([str(state)], counts[state])
            yield family
        yield GaugeMetricFamily("sluice_rows_applied", "Rows applied by the jobs known", value=self.totals.applied)
        yield GaugeMetricFamily("sluice_rows_failed", "Row errors of the jobs known", value=self.totals.failed)


class Metrics:
    """The API's metrics, in a registry of their own rather than the global one, so that tests can have several."""

    def __init__(self, view: JobIndex, ready: Callable[[], bool] = lambda: False) -> None:
        self._view = view
        self._jobs = _Jobs()
        self._text = CachedValue(self._computed_text)
        self.registry = ProcessMetrics("api", ready).registry
        self.registry.register(self._jobs)
        labels = ("method", "route", "code")
        self.requests = Counter("sluice_api_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram(
            "sluice_api_request_seconds",
            "Seconds until an answer begins",
            ("method", "route"),
            buckets=(0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 120),
            registry=self.registry,
        )

    async def keep_fresh(self) -> None:
        """Count the jobs again and again: the port of the metrics is answered from another thread, which can't."""
        while True:
            await self._count_jobs()  # and no text: making it takes longer than counting
            await asyncio.sleep(FRESH_SECONDS)

    async def text(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        return await self._text.get()

    async def _computed_text(self) -> bytes:
        await self._count_jobs()
        return generate_latest(self.registry)

    async def _count_jobs(self) -> None:
        ended = self._view.ended
        totals = _Totals(Count(ended.states), ended.applied, ended.failed)
        async for jobs in time_slices(self._view.jobs.open.values(), _JOBS_PER_SLICE):
            totals.states.update(job.state for job in jobs)
            for job in jobs:
                lanes = list(self._view.lanes(job.id))
                rows = applied_totals(job, lanes)
                totals.applied += rows.rows_applied
                totals.failed += rows.rows_failed
                waiting = pending(job, lanes)
                totals.pending_rows[job.state] += waiting.rows
                totals.pending_blocks[job.state] += waiting.blocks
                totals.lanes[job.state] += len(lanes)
        self._jobs.totals = totals

    def answered(self, method: str, route: str | None, code: int, seconds: float) -> None:
        """Count an answer. Labels have a fixed set of values: each value is a time series that stays forever."""
        method = method if method in _METHODS else _OTHER
        route = "none" if route is None else route
        self.requests.labels(method, route, str(code)).inc()
        self.seconds.labels(method, route).observe(seconds)


class MetricsMiddleware:
    """Counts and times every answer, until it begins; bodies are passed on unchanged."""

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
                # The route's pattern, not the path: each job id would be a time series.
                route = getattr(scope.get("route"), "path", None)
                metrics.answered(scope["method"], route, message["status"], time.perf_counter() - begun)
            await send(message)

        if scope["method"] in _READING:
            await self._app(scope, receive, counted)
            return
        parent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None)
        with span(f"{scope['method']} {scope['path'].split('/')[-1] or '/'}"[:60], parent):
            await self._app(scope, receive, counted)
