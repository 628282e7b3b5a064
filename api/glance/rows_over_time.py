"""Asks Elasticsearch for rows over time: of one job in detail, and of the jobs of a list in one search."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request

from api.errors import ApiError
from api.glance.models import Mark, Series
from api.glance.series import (
    Span,
    aggregation,
    known_part,
    marks,
    owner_changes,
    owners_aggregation,
    points,
    rates,
    span_of,
)
from api.jobs.reading.queries import records_of
from api.web.services import Services, services_of
from runtime.clock import now_ms
from runtime.text.formatting import iso_time
from schemas.indices import index_name
from schemas.job import RESTING, Job

MOST_POINTS: Final = 120
SPARK_POINTS: Final = 24
_FRESH_SECONDS: Final = 4.0
"""The API computes a job's sparkline anew once it is this old."""
_SETTLED_MS: Final = 20_000
"""After its end a job's last records are found within this time: then its sparkline stays as it is."""
_KEPT: Final = 4096
_SECONDS: Final = 10.0
_FIRST_SECONDS: Final = 0.4
"""How long a list waits for sparklines that it has not shown yet."""


@dataclass(slots=True)
class _Spark:
    values: list[float]
    offset: int
    at: int
    """Milliseconds since 1970."""
    asked_at: float
    """Seconds of the monotonic clock."""


@dataclass(slots=True)
class OverTime:
    """Rows over time, and what is kept of them so that pages that ask again and again cost little."""

    services: Services
    _known: OrderedDict[str, _Spark] = field(default_factory=OrderedDict)
    _asking: asyncio.Task[None] | None = None
    _marks: OrderedDict[str, tuple[int, list[Mark]]] = field(default_factory=OrderedDict)
    """Job id -> how many records its history had, and the marks in them."""

    async def sparklines(self, jobs: Sequence[Job]) -> dict[str, list[float]]:
        """Job id -> rows a second in stretches of equal length, as they were a few seconds ago, of those that are known
        by now. One search asks for all that are due."""
        now = now_ms()
        due = [job for job in jobs if job.started_at is not None and not self._fresh(job)]
        if due and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask(due, now))
            # The page is never late for a picture: what is not there in time comes with the next look.
            await asyncio.wait([self._asking], timeout=_FIRST_SECONDS)
        return {job.id: self._known[job.id].values for job in jobs if job.id in self._known}

    async def marks(self, job: Job) -> list[Mark]:
        """What happened to a job; its history is read again only once it has grown. Raises as `records_of`."""
        records = len(self.services.view.event_offsets(job.id))
        known, found = self._marks.get(job.id, (-1, []))
        if known != records:
            found = marks(await records_of(self.services, job))
            self._marks[job.id] = records, found
        self._marks.move_to_end(job.id)
        while len(self._marks) > _KEPT:
            self._marks.popitem(last=False)
        return found

    def _fresh(self, job: Job) -> bool:
        spark = self._known.get(job.id)
        if spark is None:
            return False
        settled = job.ended_at is not None and spark.at - job.ended_at > _SETTLED_MS
        return time.monotonic() - spark.asked_at < _FRESH_SECONDS or (spark.offset == job.command_offset and settled)

    async def _ask(self, jobs: Sequence[Job], now: int) -> None:
        spans = {job.id: span for job in jobs if (span := span_of(job, now, SPARK_POINTS)) is not None}
        wanted = {
            job_id: {"filter": {"term": {"job_id": job_id}}, "aggs": {"time": aggregation(span)}}
            for job_id, span in spans.items()
        }
        try:
            found = await _search(self.services, {"terms": {"job_id": list(spans)}}, wanted)
        except ApiError:
            found = {}  # the list is true without them; it asks again in a while
        for job in jobs:
            buckets = found.get(job.id, {}).get("time", {}).get("buckets", [])
            earlier = self._known.get(job.id)
            if job.id in spans and (found or earlier is None):
                values = rates(spans[job.id], buckets) if found else []
                self._known[job.id] = _Spark(values, job.command_offset, now, time.monotonic())
            elif earlier is not None:
                earlier.at, earlier.asked_at = now, time.monotonic()
            if job.id in self._known:
                self._known.move_to_end(job.id)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)


def over_time(request: Request) -> OverTime:
    """The `OverTime` of the app that serves this request."""
    state = request.app.state
    if not hasattr(state, "over_time"):
        state.over_time = OverTime(services_of(request))
    found: OverTime = state.over_time
    return found


async def series_of(request: Request, job: Job) -> Series:
    """A job's rows over time, and what happened to it meanwhile.

    Raises:
        ApiError: 503, Elasticsearch or Kafka does not answer.
    """
    services, kept = services_of(request), over_time(request)
    span = span_of(job, now_ms(), MOST_POINTS)
    if span is None:
        return _series(job, None, [], [])
    asked = {"time": aggregation(span), "owners": owners_aggregation()}
    found = await _search(services, {"term": {"job_id": job.id}}, asked)
    happened = await kept.marks(job) + owner_changes(found.get("owners", {}).get("buckets", []))
    buckets = found.get("time", {}).get("buckets", [])
    if job.state not in RESTING:
        span = known_part(span, buckets)
    return _series(job, span, buckets, happened)


def _series(job: Job, span: Span | None, buckets: Iterable[dict[str, Any]], happened: list[Mark]) -> Series:
    return Series(
        job_id=job.id,
        since=iso_time(span.since) if span else None,
        until=iso_time(span.until) if span else None,
        interval_seconds=span.interval / 1000 if span else 0.0,
        rows_total=job.rows_total,
        points=points(span, buckets) if span else [],
        marks=sorted(happened, key=lambda mark: mark.at),
    )


async def _search(services: Services, query: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What the aggregations have found in the index ``progress``; nothing: there is no such index.

    Raises:
        ApiError: 503, Elasticsearch does not answer.
    """
    index = index_name(services.settings.prefix, "progress")
    body = {"query": query, "size": 0, "aggs": wanted}
    answer = await services.documents.search("rows over time are", index, body, seconds=_SECONDS)
    found: dict[str, Any] = (answer or {}).get("aggregations", {})
    return found
