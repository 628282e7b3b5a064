"""A job's live events, across lost connections, and waiting for a state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from client.answers import Job
from client.errors import NotReached, SluiceError, TooManyRequests, Unavailable, Unreachable, WaitTimeout, refusal
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
    Pause,
    Policy,
    Reply,
    Retry,
    Steps,
)
from client.requests.naming import JobLike, id_of
from client.requests.states import ENDED, at_rest

_SILENCE_SECONDS: Final = 40.0
"""The API sends something every 15 seconds."""
_LOOK_SECONDS: Final = 0.5
_LAST_SECONDS: Final = 20.0
"""So near to its end a wait asks for the job now and then, as a silent stream would hold it up."""

Until: TypeAlias = str | Collection[str] | Callable[[Job], bool]
"""``ended`` (or failed), ``resting`` (nothing happens until someone acts), a state, several states, or a condition."""


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


def _events(job_id: str, say: Callable[[str], None]) -> Generator[Effect, Any, None]:
    retry: Retry = yield Policy()
    reader, pauses, last = EventReader(), retry.pauses(), ""
    lost_at: float | None = None
    while True:
        reply: Reply | None = None
        ended = False
        try:
            reply = yield Open(_watching(job_id, reader.last_id))
            if not reply.success:
                raise refusal(reply.status, reply.headers, reply.content)
            while not ended and (data := (yield Next(reply))) is not None:
                for sent in reader.take(data):
                    if lost_at is not None:
                        say("the API answers again")
                    lost_at, pauses = None, retry.pauses()
                    ended = decoded(sent.data.encode(), _Brief).state in ENDED
                    if sent.data != last:
                        last = sent.data
                        yield Emit(_coded(sent))
            cause: SluiceError = Unreachable("the API closed the connection", sent=True)
        except (Unreachable, Unavailable) as error:
            cause = error
        if reply is not None:
            yield Close(reply)  # not in `finally`: a generator that is closed can't ask for more
        if ended:
            return
        now: float = yield Now()
        if lost_at is None:
            lost_at = now
            say(
                "the API does not answer; the job goes on without it. Trying again for "
                f"{retry.give_up_seconds:.0f} s ..."
            )
        if now - lost_at > retry.give_up_seconds:
            raise cause
        reader = EventReader(reader.last_id)
        yield Pause(next(pauses))


def wait(job: JobLike, until: Until = "ended", *, timeout: float | None = None) -> Steps[Job]:
    """The job once it is as wanted; `timeout` in seconds, None: however long it takes.

    ``until="ended"`` takes FAILED as well: look at ``state``.

    Raises:
        NotReached: it can't come to that by itself any more: it has ended otherwise, or has paused itself for its row
            errors or its first rows. ``error.job.reason`` says why.
        WaitTimeout: the time is over; the job goes on.
        Refused, Unreachable: as `events`.
    """
    return _wait(id_of(job), _reached(until), timeout)


def _wait(job_id: str, reached: Callable[[Job], bool], timeout: float | None) -> Steps[Job]:
    began: float = yield Now()
    flow = _events(job_id, lambda text: None)
    with closing(flow), suppress(Unavailable, TooManyRequests):  # no room for a stream: it is asked now and then
        effect = next(flow)
        while timeout is None or (yield Now()) - began < timeout - _LAST_SECONDS:
            done: Any = None
            try:
                if isinstance(effect, Emit):
                    if _settled(effect.value.content, reached):
                        return Coded(effect.value.content, Job)
                else:
                    done = yield effect
            except Unreachable as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(done)
    while True:
        reply = yield from answered(Call(method="GET", path=path("jobs", job_id)))
        if _settled(reply.content, reached):
            return Coded(reply.content, Job)
        pause = _LOOK_SECONDS
        if timeout is not None:
            pause = min(pause, began + timeout - (yield Now()))
        if pause <= 0:
            job = decoded(reply.content, Job)
            raise WaitTimeout(f"job {job.id} is still {job.state} after {timeout:g} s; the job goes on", job)
        yield Pause(pause)


def _settled(content: bytes, reached: Callable[[Job], bool]) -> bool:
    """Whether this is the job that is waited for. Raises NotReached if it will not come by itself."""
    job = decoded(content, Job)
    if reached(job):
        return True
    if job.ended or paused_itself(job):
        why = f": {job.reason}" if job.reason else ""
        raise NotReached(f"job {job.id} is {job.state}{why}", job)
    return False


def paused_itself(job: Job) -> bool:
    """Whether the job is PAUSED for its row errors, or for what its first rows look like; it waits to be resumed."""
    suspected = None if job.suspicion is None else job.suspicion.message
    return waits_to_be_resumed(job.state, job.budget, suspected, job.reason, job.resume_at)


def waits_to_be_resumed(
    state: str, budget: str | None, suspected: str | None, reason: str | None, resume_at: str | None
) -> bool:
    """As `paused_itself`, with those fields of a job that count. `suspected`: the message of its suspicion."""
    stopped = budget == "spent" or (suspected is not None and suspected in (reason or ""))
    return state == "PAUSED" and resume_at is None and stopped


def _reached(until: Until) -> Callable[[Job], bool]:
    match until:
        case "ended":
            return lambda job: job.ended
        case "resting":
            return lambda job: at_rest(job.state)
        case str():
            return lambda job: job.state == until
    if callable(until):
        return until
    states = frozenset(until)
    return lambda job: job.state in states


class _Brief(msgspec.Struct):
    state: str


def _watching(job_id: str, last_id: str) -> Call[Any]:
    return Call(
        method="GET",
        path=path("jobs", job_id, "watch"),
        headers={"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {}),
        timeout_seconds=_SILENCE_SECONDS,
    )


def _coded(sent: Sent) -> Coded[Event]:
    return Coded(sent.data.encode(), Job, lambda job: Event(sent.name, sent.id, job))
