"""Commands that only read: jobs, job, watch, report, history, datasets."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.arguments import csv_or_json
from commandline.errors import plain_errors
from commandline.parameters import AsJson, JobId

app = typer.Typer()


@app.command()
@plain_errors
def jobs(
    state: Annotated[str | None, typer.Option(help="Only these states, with commas between.")] = None,
    operation: Annotated[str | None, typer.Option(help="Only these operations.")] = None,
    organisation: Annotated[str | None, typer.Option(help="Only these organisations.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    from commandline.connection import Api
    from commandline.view.output import out, print_json, show_jobs

    states = state.upper() if state else None
    found = list(Api().jobs(limit, state=states, operation=operation, organisation=organisation))
    if as_json:
        print_json(found)
    elif found:
        show_jobs(found)
    else:
        out("There are no such jobs." if state or operation or organisation else "There are no jobs yet.")


@app.command()
@plain_errors
def job(job_id: JobId, as_json: AsJson = False) -> None:
    """Show one job."""
    from commandline.connection import Api
    from commandline.view.output import print_json, show_job

    found = Api().job(job_id)
    if as_json:
        print_json(found)
    else:
        show_job(found)


@app.command()
@plain_errors
def watch(job_id: JobId, as_json: AsJson = False) -> None:
    """Show a job's progress until it has ended."""
    from commandline.concluding import conclude
    from commandline.connection import Api

    conclude(Api().job(job_id), wait=True, as_json=as_json)


@app.command()
@plain_errors
def report(job_id: JobId, as_json: AsJson = False) -> None:
    """Print what was asked of a job, by whom, and what came of it, as text for a ticket."""
    from client.requests import reports
    from commandline.connection import Api
    from commandline.view.output import out, print_json
    from runtime.text.report_text import report_text

    api = Api()
    found = api.json(reports.report(api.job(job_id)["id"]))
    if as_json:
        print_json(found)
    else:
        for line in report_text(found).splitlines():
            out(line)


@app.command()
@plain_errors
def changes(
    job_id: JobId,
    as_csv: Annotated[bool, typer.Option("--csv", help="All of them as CSV, a line for each value.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a dry run would change: how many documents, which columns, and the first changes."""
    from client.requests import downloads, reports
    from commandline.connection import Api
    from commandline.view.changes import show_changes
    from commandline.view.output import print_file, print_json

    csv_or_json(as_csv, as_json)
    api = Api()
    found = api.job(job_id)
    if as_csv:
        print_file(api.pieces(downloads.changes_csv(found["id"])))
        return
    changes = api.json(reports.preview(found["id"]))["changes"]
    if as_json:
        print_json(changes)
    else:
        show_changes(changes, found)


@app.command()
@plain_errors
def undone(
    job_id: JobId,
    outcome: Annotated[
        str, typer.Option(metavar="restored,kept,failed", help="Only rows with these outcomes.")
    ] = "kept,failed",
    as_csv: Annotated[bool, typer.Option("--csv", help="All of them as CSV.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what a rollback has done with each row, and why some are left as they are."""
    from client.requests import downloads, reports
    from commandline.connection import Api
    from commandline.view.changes import show_undone
    from commandline.view.output import print_file, print_json

    csv_or_json(as_csv, as_json)
    api = Api()
    found = api.job(job_id)
    if as_csv:
        print_file(api.pieces(downloads.undone_csv(found["id"], outcome=outcome)))
        return
    page = api.json(reports.undone_page(found["id"], outcome=outcome, limit=limit))
    if as_json:
        print_json(page)
    else:
        show_undone(page)


@app.command()
@plain_errors
def history(job_id: JobId, as_json: AsJson = False) -> None:
    """Show what happened to a job, who asked for it, and why."""
    from client.requests import reports
    from commandline.connection import Api
    from commandline.view.output import print_json, show_history

    api = Api()
    page = api.json(reports.history(api.job(job_id)["id"]))
    if as_json:
        print_json(page)
    else:
        show_history(page["history"])


@app.command()
@plain_errors
def datasets(as_json: AsJson = False) -> None:
    """List the datasets and their columns."""
    from client.requests import administration
    from commandline.connection import Api
    from commandline.view.output import out, print_json

    found = Api().json(administration.datasets())["datasets"]
    if as_json:
        print_json(found)
        return
    for dataset in found:
        out(f"{dataset['name']}: {', '.join(field['name'] for field in dataset['fields'])}")
