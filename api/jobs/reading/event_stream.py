"""A job's changes as server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from weakref import finalize

import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent

from api import errors
from api.jobs.reading.job_view import job_view
from api.readmodel.job_feed import JobFeed, Watch
from api.web.services import Services
from control.creation.quotas import exceeded
from runtime.clock import now_ms
from schemas.job import ENDED, Job

_PROGRESS_SECONDS = 0.25
_HEARTBEAT_SECONDS = 15
_SEND_SECONDS = 60


def event_source(services: Services, job: Job, last_id: str | None = None) -> EventSourceResponse:
    """The answer that has a job's `events`. It counts among the organisation's streams until it is sent.

    Raises:
        ApiError: 429 or 503, there are as many such answers as there may be.
    """
    if services.streams.total() >= services.settings.api_connections // 2:
        text = "the API has no room for another event stream; ask for the job now and then instead"
        raise errors.unavailable(text)
    most = services.catalog.quotas.of(job.organisation).event_streams
    if services.streams[job.organisation] >= most:
        found = f"organisation {job.organisation} has {services.streams[job.organisation]} open event streams"
        raise errors.refused(exceeded("event_streams", job.organisation, most, found))
    return EventSourceResponse(
        _counted(_Place(services.streams, job.organisation), events(services.live, job, last_id)),
        ping=_HEARTBEAT_SECONDS,
        ping_message_factory=lambda: ServerSentEvent(comment="still here"),
        send_timeout=_SEND_SECONDS,
        sep="\n",
    )


class _Place:
    """Counts a stream from now on, since many requests may come before the first event is sent. It counts until it is
    given up, or until nobody has it: an answer may be made and not be sent."""

    def __init__(self, streams: Counter[str], organisation: str) -> None:
        streams[organisation] += 1
        self.give_up = finalize(self, _uncount, streams, organisation)


def _uncount(streams: Counter[str], organisation: str) -> None:
    streams[organisation] -= 1
    if not streams[organisation]:
        del streams[organisation]


async def _counted(place: _Place, sent: AsyncIterator[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
    try:
        async for event in sent:
            yield event
    finally:
        place.give_up()


async def events(live: JobFeed, job: Job, last_id: str | None = None) -> AsyncIterator[ServerSentEvent]:
    """Events until the job has ended; for a job that is PAUSED, FAILED or QUEUED the stream stays open.

    `last_id`: the newest event that a returning caller has; the stream does not repeat its state.
    """
    with live.watch(job.id) as watch:
        shown, shown_at = live.view.jobs.get(job.id, job), time.monotonic()
        yield _event(live, "progress" if last_id == _id(shown) else "state", shown)
        while shown.state not in ENDED:
            await watch.change()
            if not watch.transitions:
                # Progress is sent at most every _PROGRESS_SECONDS; a change of state is sent at once.
                await _until_due(watch, shown_at + _PROGRESS_SECONDS)
            if job.id not in live.view.jobs:
                return
            if watch.transitions:
                while watch.transitions:
                    shown = watch.transitions.popleft()
                    yield _event(live, "state", shown)
            else:
                shown = live.view.jobs[job.id]
                yield _event(live, "progress", shown)
            shown_at = time.monotonic()


async def _until_due(watch: Watch, due: float) -> None:
    """Wait until `due` (of the monotonic clock), or a change of state, whichever comes first."""
    while not watch.transitions and (wait := due - time.monotonic()) > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await watch.change()


def _event(live: JobFeed, name: str, job: Job) -> ServerSentEvent:
    data = msgspec.json.encode(job_view(job, live.view, now_ms())).decode()
    return ServerSentEvent(data, event=name, id=_id(job), sep="\n")


def _id(job: Job) -> str:
    """The same for all events of a job in one state: any other state has another epoch, or another name."""
    return f"{job.epoch}-{job.state}"
