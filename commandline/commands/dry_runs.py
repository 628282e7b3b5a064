"""Commands of a dry run: show its preview, and start the real job."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from commandline.arguments import when
from commandline.concluding import conclude
from commandline.errors import plain_errors
from commandline.job_parameters import Rate, options_of
from commandline.parameters import AsJson, JobId, Notify, Reason, StartAt, Wait
from schemas.job import FILE_OPTIONS, MODE_OPTIONS

app = typer.Typer()

_AS_TRIED = frozenset((*FILE_OPTIONS, *MODE_OPTIONS))
"""Options that the real job has as the dry run had them: they are not sent again."""

MaxErrors = Annotated[str | None, typer.Option(metavar="N|N%", help="Row errors at which the job pauses itself.")]
IfBusy = Annotated[str | None, typer.Option(metavar="refuse|queue", help="When another job has the data.")]
Suspicions = Annotated[
    str | None, typer.Option(metavar="pause|note|off", help="When its first rows look like an accident.")
]
IfSame = Annotated[str | None, typer.Option(metavar="refuse|allow", help="When a job has applied the file before.")]


@app.command()
@plain_errors
def preview(job_id: JobId, as_json: AsJson = False) -> None:
    """Show what a dry run has found: counts, the first row errors, the first rows as they would be stored."""
    from client.requests import reports
    from commandline.connection import Api
    from commandline.view.output import print_json, show_preview

    api = Api()
    found = api.json(reports.preview(api.job(job_id)["id"]))
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
    from client.requests import acting
    from commandline.connection import Api

    api = Api()
    dry_run = api.job(job_id)
    options: dict[str, Any] | None = None
    at = when(start_at)
    if (max_errors, rate, if_busy, if_same, suspicions, notify) != (None,) * 6:
        given = options_of(False, max_errors, rate, if_busy, if_same, suspicions=suspicions, notify=notify)
        tried = {name: value for name, value in dry_run["options"].items() if name not in _AS_TRIED}
        options = {**tried, **given, "dry_run": False}
    made = api.json(acting.start(dry_run["id"], reason=reason, start_at=at, options=options))
    conclude(made, wait=wait, as_json=as_json)
