"""A job's changes, across lost connections: by its live events, or by looks at it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from client.answers import Job
from client.errors import SluiceError, TooManyRequests, Unavailable, Unreachable, refusal
from client.protocol.event_stream import EventReader, Sent
from client.protocol.exchange import answered, decoded, path
from client.protocol.steps import (
    Call,
    Close,
    Coded,
    Effect,
    Emit,
    Flow,
    Next,
    Now,
    Open,
    Part,
    Pause,
    Policy,
    Reply,
    Retry,
)
from client.requests.naming import JobLike, id_of
from client.requests.states import ENDED

_SILENCE_SECONDS: Final = 40.0
"""The API sends something every 15 seconds."""
LOOK_SECONDS: Final = 0.5
"""Between two looks at a job that is asked for."""


@dataclass(frozen=True, slots=True)
class Event:
    """A change of a job."""

    name: str
    """``state`` when it has come into another state, ``progress`` when more of its rows are done."""
    id: str
    """The event's id: a later connection begins behind it."""
    job: Job
    """The job as it is then."""


def events(job: JobLike, *, say: Callable[[str], None] = lambda text: None) -> Flow[Event]:
    """The job's changes as they come, the first one at once, until it has ended.

    A job that is PAUSED, FAILED or QUEUED keeps the stream open. A connection that is lost is made again, behind the
    last event that came. `say` is told when the connection is lost, and when it is back.

    Raises:
        Refused: there is no such job, or no room for another stream.
        Unreachable, Unavailable: the API does not answer for a minute (`Retry.give_up_seconds`).
    """
    return Flow(_events(id_of(job), say))


def follow(job: JobLike, *, say: Callable[[str], None] = lambda text: None) -> Flow[Job]:
    """The job after each change, as `events`; where there is no room for a stream it is asked for now and then."""
    return Flow(followed(id_of(job), say))


class _Outage:
    """A time in which the API does not answer: it is told, and tries are made until it has lasted too long."""

    def __init__(self, retry: Retry, say: Callable[[str], None]) -> None:
        self._retry = retry
        self._say = say
        self._began: float | None = None
        self._pauses = retry.pauses()

    def over(self) -> None:
        """The API has answered."""
        if self._began is not None:
            self._say("the API answers again")
        self._began, self._pauses = None, self._retry.pauses()

    def wait(self, cause: SluiceError) -> Part[None]:
        """Wait for the next try. Raises `cause` if it has lasted for `Retry.give_up_seconds`."""
        now: float = yield Now()
        if self._began is None:
            self._began = now
            self._say(
                "the API does not answer; the job goes on without it. Trying again for "
                f"{self._retry.give_up_seconds:.0f} s ..."
            )
        if now - self._began > self._retry.give_up_seconds:
            raise cause
        yield Pause(next(self._pauses))


def _events(job_id: str, say: Callable[[str], None]) -> Generator[Effect, Any, None]:
    outage = _Outage((yield Policy()), say)
    yield from _streamed(job_id, outage, _event)


def followed(job_id: str, say: Callable[[str], None]) -> Generator[Effect, Any, None]:
    """The steps of `follow`."""
    outage, last = _Outage((yield Policy()), say), b""
    with suppress(Unavailable, TooManyRequests):
        yield from _streamed(job_id, outage, _job)
        return
    while True:
        try:
            reply = yield from answered(asking(job_id))
        except (Unreachable, Unavailable, TooManyRequests) as error:
            yield from outage.wait(error)
            continue
        outage.over()
        if reply.content != last:
            last = reply.content
            yield Emit(Coded(last, Job))
        if decoded(last, _Brief).state in ENDED:
            return
        yield Pause(LOOK_SECONDS)


def _streamed(job_id: str, outage: _Outage, coded: Callable[[Sent], Coded[Any]]) -> Generator[Effect, Any, None]:
    reader, last = EventReader(), ""
    while True:
        reply: Reply | None = None
        ended = False
        try:
            reply = yield Open(_watching(job_id, reader.last_id))
            if not reply.success:
                raise refusal(reply.status, reply.headers, reply.content)
            while not ended and (data := (yield Next(reply))) is not None:
                for sent in reader.take(data):
                    outage.over()
                    ended = decoded(sent.data.encode(), _Brief).state in ENDED
                    if sent.data != last:
                        last = sent.data
                        yield Emit(coded(sent))
            cause: SluiceError = Unreachable("the API closed the connection", sent=True)
        except (Unreachable, Unavailable) as error:
            cause = error
        if reply is not None:
            yield Close(reply)  # not in `finally`: a generator that is closed can't ask for more
        if ended:
            return
        yield from outage.wait(cause)
        reader = EventReader(reader.last_id)


class _Brief(msgspec.Struct):
    state: str


def _watching(job_id: str, last_id: str) -> Call[Any]:
    return Call(
        method="GET",
        path=path("jobs", job_id, "watch"),
        headers={"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {}),
        timeout_seconds=_SILENCE_SECONDS,
    )


def asking(job_id: str) -> Call[Job]:
    """The request for a job as it is now."""
    return Call(method="GET", path=path("jobs", job_id), answer=Job)


def _event(sent: Sent) -> Coded[Event]:
    return Coded(sent.data.encode(), Job, lambda job: Event(sent.name, sent.id, job))


def _job(sent: Sent) -> Coded[Job]:
    return Coded(sent.data.encode(), Job)
