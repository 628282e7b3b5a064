"""Commands of a dry run: show its preview, and start the real job."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from client.arguments import rate, when
from client.errors import plain_errors
from client.parameters import AsJson, JobId, Notify, Reason, StartAt, Wait
from schemas.job import FILE_OPTIONS, MODE_OPTIONS

app = typer.Typer()

_AS_TRIED = frozenset((*FILE_OPTIONS, *MODE_OPTIONS))
"""Options that the real job has as the dry run had them: they are not sent again."""

MaxErrors = Annotated[str | None, typer.Option(metavar="N|N%", help="Row errors at which the job pauses itself.")]
Rate = Annotated[float | None, typer.Option(parser=rate, metavar="N", help="Rows applied per second, at most.")]
IfBusy = Annotated[str | None, typer.Option(metavar="refuse|queue", help="When another job has the data.")]
Suspicions = Annotated[
    str | None, typer.Option(metavar="pause|note|off", help="When its first rows look like an accident.")
]
IfSame = Annotated[str | None, typer.Option(metavar="refuse|allow", help="When a job has applied the file before.")]


@app.command()
@plain_errors
def preview(job_id: JobId, as_json: AsJson = False) -> None:
    """Show what a dry run has found: counts, the first row errors, the first rows as they would be stored."""
    from client.http import Api
    from client.output import print_json, show_preview

    api = Api()
    found = api.call("GET", f"/v1/jobs/{api.job(job_id)['id']}/preview")
    if as_json:
        print_json(found)
    else:
        show_preview(found)


@app.command()
@plain_errors
def start(
    job_id: JobId,
    max_errors: MaxErrors = None,
    rate: Rate = None,
    if_busy: IfBusy = None,
    start_at: StartAt = None,
    suspicions: Suspicions = None,
    notify: Notify = None,
    if_same: IfSame = None,
    reason: Reason = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Make the real job of a dry run, without sending its file again. Without options it has the dry run's."""
    from client.create import conclude, options_of
    from client.http import Api

    api = Api()
    dry_run = api.job(job_id)
    body: dict[str, Any] = {"reason": reason, "start_at": when(start_at)}
    if (max_errors, rate, if_busy, if_same, suspicions, notify) != (None,) * 6:
        busy, same = if_busy or "refuse", if_same or "refuse"
        given = options_of(False, max_errors, rate, busy, same, suspicions=suspicions, notify=notify)
        tried = {name: value for name, value in dry_run["options"].items() if name not in _AS_TRIED}
        body["options"] = {**tried, **given, "dry_run": False}
    made = api.call("POST", f"/v1/jobs/{dry_run['id']}/start", json=body)
    conclude(made, wait=wait, as_json=as_json)
