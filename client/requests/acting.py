"""Requests that change a job, or many. A repeat of one that has taken effect succeeds and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, Literal

from client.answers import Job, ManyAnswer
from client.protocol.exchange import answered, asked, path
from client.protocol.steps import Call, Coded, Steps
from client.requests.files import READ_SECONDS, SentFile, SentStream, opened, part_of, shown_name
from client.requests.naming import JobLike, id_of

_SEND_SECONDS: Final = 120.0
_MANY_SECONDS: Final = 120.0
"""Beyond what is waited for: a command each, for up to thousands of jobs."""
_SPARE_SECONDS: Final = 30.0

Action = Literal["pause", "resume", "terminate", "rollback"]


def pause(
    job: JobLike, *, reason: str | None = None, resume_at: str | None = None, wait: float | None = None
) -> Steps[Job]:
    """Stop writing, keep everything, go on later. `resume_at`: ISO 8601, when it goes on by itself.

    `wait`, here and below: seconds until the answer at most; the job then is at rest, or ``waiting_for`` says what has
    not answered yet. None: the answer comes at once, and the job is on its way.

    Raises:
        Conflict: not possible in this state; the message says when it is.
    """
    return act(id_of(job), "pause", {"reason": reason, "resume_at": resume_at}, wait)


def resume(job: JobLike, *, reason: str | None = None, wait: float | None = None) -> Steps[Job]:
    """Go on from where the job stopped. Raises as `pause`."""
    return act(id_of(job), "resume", {"reason": reason}, wait)


def terminate(
    job: JobLike, *, keep_rows: bool = False, reason: str | None = None, wait: float | None = None
) -> Steps[Job]:
    """Stop for good, and take out what was written, unless `keep_rows`. Raises as `pause`."""
    return act(id_of(job), "terminate", {"reason": reason, "keep_rows": keep_rows}, wait)


def rollback(
    job: JobLike,
    *,
    force: bool = False,
    partial: bool = False,
    reason: str | None = None,
    wait: float | None = None,
) -> Steps[Job]:
    """Take out what an ended job wrote, and give back what it wrote over.

    `force`: also what others have changed since. `partial`: also if some of what was there before is not kept any more.
    Raises as `pause`.
    """
    return act(id_of(job), "rollback", {"reason": reason, "force": force, "partial": partial}, wait)


def purge(job: JobLike, *, reason: str | None = None, wait: float | None = None) -> Steps[Job]:
    """Remove for good all that holds values of a job that is over; its history stays, and the rows that it wrote.

    It has ended when ``purged_at`` is set; ``purge_problem`` says what keeps it. Raises as `pause`.
    """
    return act(id_of(job), "purge", {"reason": reason}, wait)


def act(job_id: str, action: str, body: Mapping[str, Any], wait: float | None) -> Steps[Job]:
    """Any of the actions, with REST's own JSON; what is None or False in it is left out."""
    return asked(
        Call(
            method="POST",
            path=path("jobs", job_id, action),
            answer=Job,
            params={"wait": wait},
            json={name: value for name, value in body.items() if value not in (None, False)},
            timeout_seconds=None if wait is None else wait + _SPARE_SECONDS,
        )
    )


def set_rate(job: JobLike, rows_per_second: float | None, *, reason: str | None = None) -> Steps[Job]:
    """Set the most rows a second that a job applies; None: no limit. Raises as `pause`."""
    body = {"rows_per_second": rows_per_second} | ({} if reason is None else {"reason": reason})
    return asked(Call(method="PUT", path=path("jobs", id_of(job), "rate"), answer=Job, json=body))


def end(job: JobLike, rows: int) -> Steps[Job]:
    """Say how many rows a job has whose rows come by the inbox: it ends once it has them. Raises as `pause`."""
    return asked(Call(method="POST", path=path("jobs", id_of(job), "end"), answer=Job, json={"rows": rows}))


def start(
    job: JobLike, *, reason: str | None = None, start_at: str | None = None, options: Mapping[str, Any] | None = None
) -> Steps[Job]:
    """Make the real job of a dry run, without sending its file again; a second start returns the same job.

    `options`: instead of all of the dry run's but those of its file, see `client.options.JobOptions`.

    Raises:
        Conflict: the dry run has not ended, another job holds the data, or the file is not there any more.
    """
    given = {"reason": reason, "start_at": start_at, "options": options}
    body = {name: value for name, value in given.items() if value is not None}
    return asked(starting(id_of(job), body))


def starting(job_id: str, body: Mapping[str, Any]) -> Call[Job]:
    """The request that starts a job, with REST's own JSON."""
    return Call(
        method="POST", path=path("jobs", job_id, "start"), answer=Job, json=dict(body), timeout_seconds=READ_SECONDS
    )


def retry_errors(job: JobLike, file: str | Path | bytes | IO[bytes], *, reason: str | None = None) -> Steps[Job]:
    """Apply corrected rows to the job that refused them: the file that `save_errors` has written, corrected. `file`: a
    path, its content, or a stream of it.

    Raises:
        BadRequest: the file has rows that the job did not refuse, or another header.
        Conflict: not in this state.
        FileProblem: the file can't be read here.
    """
    with ExitStack() as stack:
        if isinstance(file, bytes):
            part = part_of("errors.csv", file)
        elif not isinstance(file, str | Path):
            part = part_of("errors.csv", SentStream(file, "the stream"))
        else:
            content = stack.enter_context(opened(Path(file)))
            part = part_of(shown_name(Path(file)), SentFile(Path(file), content))
        call: Call[Job] = Call(
            method="POST",
            path=path("jobs", id_of(job), "retry-errors"),
            answer=Job,
            params={"reason": reason},
            form=lambda: [part],
            timeout_seconds=_SEND_SECONDS,
            repeatable=False,
        )
        reply = yield from answered(call)
    return Coded(reply.content, Job)


def act_on_many(
    action: Action,
    *,
    jobs: Iterable[JobLike] | None = None,
    state: Sequence[str] | None = None,
    operation: Sequence[str] | None = None,
    organisation: Sequence[str] | None = None,
    all: bool = False,  # noqa: A002 - REST's name
    preview: bool = False,
    keep_rows: bool = False,
    force: bool = False,
    partial: bool = False,
    reason: str | None = None,
    resume_at: str | None = None,
    wait: float | None = None,
) -> Steps[ManyAnswer]:
    """One command for many jobs: those named, those in these states, operations and organisations, or all.

    `preview`: nothing is done, and the answer says which jobs and rows it would concern. A job for which it is refused
    is among the outcomes, and raises nothing.
    """
    chosen: dict[str, Any] = {"state": state, "operation": operation, "organisation": organisation}
    chosen = {name: list(values) for name, values in chosen.items() if values}
    body: dict[str, Any] = {"jobs": None if jobs is None else [id_of(job) for job in jobs], "filter": chosen or None}
    body |= {"all": all, "preview": preview, "keep_rows": keep_rows, "force": force, "partial": partial}
    body |= {"action": action, "reason": reason, "resume_at": resume_at}
    return many({name: value for name, value in body.items() if value not in (None, False)}, wait)


def many(body: Mapping[str, Any], wait: float | None) -> Steps[ManyAnswer]:
    """As `act_on_many`, with REST's own JSON."""
    return asked(
        Call(
            method="POST",
            path="/v1/jobs/actions",
            answer=ManyAnswer,
            params={"wait": wait},
            json=dict(body),
            records=not body.get("preview"),
            timeout_seconds=(wait or 0.0) + _MANY_SECONDS,
        )
    )
