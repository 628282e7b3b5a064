"""Commands that act on a job: pause, resume, terminate, rollback, rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from commandline.arguments import NO_LIMIT, rate_or_none, when
from commandline.completion import job_ids
from commandline.errors import FAILED, INTERRUPTED, plain_errors
from commandline.parameters import JobId, Reason

app = typer.Typer()

_ASK_SECONDS = 20.0
"""How long the request itself waits; after that the client watches the job."""

JobIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Ids of jobs, beginnings of them, or `last`.", autocompletion=job_ids),
]
Organisation = Annotated[str | None, typer.Option(help="Every job of these organisations, with commas between.")]
State = Annotated[str | None, typer.Option(help="Every job in these states, with commas between.")]
Operation = Annotated[str | None, typer.Option(help="Every job of these operations, with commas between.")]
All = Annotated[bool, typer.Option("--all", help="Every job that the command would change.")]
ResumeAt = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="When the job goes on by itself: 2026-01-31T22:00, 22:00, or in 90m, 2h, 1d."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before acting on many jobs.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the command has taken effect.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the job as JSON.")]


@app.command()
@plain_errors
def pause(
    job_ids: JobIds = None,
    organisation: Organisation = None,
    state: State = None,
    operation: Operation = None,
    everything: All = False,
    resume_at: ResumeAt = None,
    reason: Reason = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Stop writing, keep everything, go on later."""
    chosen = job_ids or (), state, operation, organisation, everything
    _act(chosen, "pause", {"reason": reason, "resume_at": when(resume_at)}, wait=wait, as_json=as_json)


@app.command()
@plain_errors
def resume(
    job_ids: JobIds = None,
    organisation: Organisation = None,
    state: State = None,
    operation: Operation = None,
    everything: All = False,
    reason: Reason = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Go on from where the job stopped."""
    chosen = job_ids or (), state, operation, organisation, everything
    _act(chosen, "resume", {"reason": reason}, wait=wait, as_json=as_json)


@app.command()
@plain_errors
def terminate(
    job_ids: JobIds = None,
    organisation: Organisation = None,
    state: State = None,
    operation: Operation = None,
    everything: All = False,
    keep_rows: Annotated[bool, typer.Option("--keep-rows", help="Leave the rows that are written.")] = False,
    yes: Yes = False,
    reason: Reason = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Stop for good, and take out what was written."""
    chosen = job_ids or (), state, operation, organisation, everything
    _act(chosen, "terminate", {"reason": reason, "keep_rows": keep_rows}, sure=yes, wait=wait, as_json=as_json)


@app.command()
@plain_errors
def rollback(
    job_ids: JobIds = None,
    organisation: Organisation = None,
    state: State = None,
    operation: Operation = None,
    everything: All = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also restore documents that others have changed since.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Also if some before-images are not kept any more.")
    ] = False,
    yes: Yes = False,
    reason: Reason = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Take out what an ended job wrote, and give back what it wrote over."""
    body: dict[str, Any] = {"reason": reason} | ({"force": True} if force else {})
    chosen = job_ids or (), state, operation, organisation, everything
    _act(chosen, "rollback", body | ({"partial": True} if partial else {}), sure=yes, wait=wait, as_json=as_json)


@app.command()
@plain_errors
def rate(
    job_id: JobId,
    rows_per_second: Annotated[
        float,
        typer.Argument(parser=rate_or_none, metavar="N|none", help="Rows a second, at most; none: no limit."),
    ],
    as_json: AsJson = False,
) -> None:
    """Set or lift the most rows a second."""
    from client.requests.acting import set_rate
    from commandline.connection import Api
    from commandline.view.output import out, print_json

    limit = None if rows_per_second == NO_LIMIT else rows_per_second
    api = Api()
    name = api.job(job_id)["id"]
    job = api.json(set_rate(name, limit), look=f"`sluice job {name}`")
    if as_json:
        print_json(job)
    else:
        out(f"Job {job['id']}: " + ("no limit" if limit is None else f"at most {limit:g} rows a second"))


@app.command()
@plain_errors
def end(
    job_id: JobId,
    rows: Annotated[int, typer.Argument(min=0, metavar="ROWS", help="How many rows the job has.")],
    as_json: AsJson = False,
) -> None:
    """Say how many rows a job has whose rows come by the inbox."""
    from client.requests import acting
    from commandline.connection import Api
    from commandline.view.output import out, print_json
    from commandline.view.wording import outcome

    api = Api()
    name = api.job(job_id)["id"]
    job = api.json(acting.end(name, rows), look=f"`sluice job {name}`")
    if as_json:
        print_json(job)
    else:
        out(outcome(job))


def _act(
    named: tuple[Sequence[str], str | None, str | None, str | None, bool],
    action: str,
    body: dict[str, Any],
    *,
    wait: bool,
    as_json: bool,
    sure: bool = False,
) -> None:
    from commandline.commands.many import Chosen, act

    chosen = Chosen(*named)
    if chosen.one is None:
        act(action, chosen, body, sure=sure, wait=wait, as_json=as_json)
    else:
        _act_on_one(chosen.one, action, body, wait=wait, as_json=as_json)


def _act_on_one(name: str, action: str, body: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    from client.requests.acting import act
    from client.requests.states import at_rest
    from commandline.connection import Api
    from commandline.following import follow
    from commandline.view.output import out, print_json, say
    from commandline.view.wording import line, outcome

    api = Api()
    job_id = api.job(name)["id"]
    job = api.json(act(job_id, action, body, _ASK_SECONDS if wait else None), look=f"`sluice job {job_id}`")
    try:
        if wait and job["waiting_for"]:
            say(f"{line(job)}; waiting for {job['waiting_for']}")
            # From here on only watch: a repeated command could undo what another user does meanwhile.
            for job in follow(api, job_id, say):
                if at_rest(job["state"]):
                    break
    except KeyboardInterrupt:
        say(f"The command is on record and takes effect all the same. See it with `sluice watch {job_id}`.")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(job)
    else:
        out(outcome(job))
    if job["state"] == "FAILED":
        raise typer.Exit(FAILED)
