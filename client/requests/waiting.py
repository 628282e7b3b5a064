"""Waiting until a job is as wanted."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing
from typing import Any, Final, TypeAlias

from client.answers import Job
from client.errors import NotReached, Unreachable, WaitTimeout
from client.protocol.exchange import answered, decoded
from client.protocol.steps import Coded, Emit, Now, Pause, Steps
from client.requests.following import LOOK_SECONDS, asking, followed
from client.requests.naming import JobLike, id_of
from client.requests.states import at_rest

_LAST_SECONDS: Final = 20.0
"""So near to its end a wait asks for the job now and then, as a silent stream would hold it up."""

Until: TypeAlias = str | Collection[str] | Callable[[Job], bool]
"""``ended`` (or failed), ``resting`` (nothing happens until someone acts), a state, several states, or a condition."""


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
    flow = followed(job_id, lambda text: None)
    with closing(flow):
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
        reply = yield from answered(asking(job_id))
        if _settled(reply.content, reached):
            return Coded(reply.content, Job)
        pause = LOOK_SECONDS
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
