"""Commands that make jobs: upload, teams, export, and run for operations of one's own."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from commandline.concluding import conclude
from commandline.errors import plain_errors, usage
from commandline.job_parameters import FileParameters, IfBusy, Rate, StartParameters, options_of
from commandline.parameter_groups import with_groups
from commandline.parameters import Notify
from commandline.sending import send, send_again, send_in_parts, send_rest

app = typer.Typer()

_OF_THE_REST: Final = ("file", "continue_", "resumable", "wait", "as_json")
"""Parameters of `upload` that go with --continue: all others belong to the creation of a job."""

File = Annotated[
    str | None,
    typer.Argument(
        help="The CSV file, also in gzip or zip; - is standard input; the API fetches an address (https://, s3://).",
        show_default=False,
    ),
]
FromTopic = Annotated[bool, typer.Option("--from-topic", help="No file: services produce the rows to the inbox.")]
Organisation = Annotated[
    str | None, typer.Option(help="Whose data it is.", show_default="the key's own, if it has just one; else default")
]
Mode = Annotated[
    str | None,
    typer.Option(
        metavar="create|upsert|replace|update|delete",
        help="What becomes of documents that the rows' keys name; without it the dataset's own mode.",
    ),
]
Empty = Annotated[
    str | None,
    typer.Option(
        metavar="keep|clear", help="What an empty cell does to a value that is there (upsert, update). Default: keep."
    ),
]


@app.command()
@plain_errors
@with_groups
def upload(
    context: typer.Context,
    file: File = None,
    *,
    dataset: Annotated[str | None, typer.Option(help="What the rows are; `sluice datasets` lists them.")] = None,
    again: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Read this job's file again, with its options unless others are given."),
    ] = None,
    resumable: Annotated[
        bool,
        typer.Option("--resumable", help="Send the file in parts, as large ones are; a broken connection is resumed."),
    ] = False,
    continue_: Annotated[
        str | None,
        typer.Option("--continue", metavar="ID", help="Send the rest of the file of this draft, and start it."),
    ] = None,
    from_topic: FromTopic = False,
    organisation: Organisation = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Cells as they are: leave apostrophes that an export put before formulas.")
    ] = False,
    mode: Mode = None,
    empty: Empty = None,
    reading: FileParameters,
    starting: StartParameters,
) -> None:
    """Upload a CSV file's rows into a dataset: create documents, or change those that their keys name."""
    job: dict[str, Any] = {"dataset": dataset, "organisation": organisation}
    job = {name: value for name, value in job.items() if value is not None}
    more = {"raw": raw or None, "mode": mode, "empty": empty}
    options = reading.options() | {name: value for name, value in more.items() if value is not None}
    job |= {"options": options, **starting.why_and_when()}
    if continue_ is not None:
        if file is None or file == "-":
            raise usage("name the file whose rest is to be sent")
        if others := _given(context, but=_OF_THE_REST):
            raise usage(f"--continue sends the file of a job that is made, with its options: leave out {others}")
        send_rest(Path(file), continue_, starting)
        return
    if again is not None:
        if file is not None or from_topic or resumable:
            raise usage("--again reads the file of another job: name no file, and leave out --from-topic, --resumable")
        send_again(again, job, starting)
        return
    if dataset is None:
        raise usage("say what the rows are with --dataset; `sluice datasets` lists the datasets")
    job = {"operation": "upload", **job}
    if resumable and from_topic:
        raise usage("--resumable sends a file in parts: leave it out, or --from-topic")
    if resumable and file is not None:
        send_in_parts(Path(file), job, starting)
        return
    send(file, job, starting, from_topic=from_topic)


def _given(context: typer.Context, but: Collection[str]) -> str:
    """The parameters that the command line names, but for these, with commas between."""
    # Which click this typer has depends on its version: the source is known by its name.
    sources = {one: context.get_parameter_source(one.name or "") for one in context.command.params}
    named = [one for one, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    return ", ".join(max(one.opts, key=len) for one in named if one.name not in but)


@app.command()
@plain_errors
@with_groups
def teams(
    file: File = None,
    *,
    from_topic: FromTopic = False,
    organisation: Organisation = None,
    reading: FileParameters,
    starting: StartParameters,
) -> None:
    """Create the teams that a CSV file lists."""
    job = {"operation": "teams", "dataset": "teams", "organisation": organisation, "options": reading.options()}
    send(file, job | starting.why_and_when(), starting, from_topic=from_topic)


@app.command()
@plain_errors
@with_groups
def run(
    operation: Annotated[str, typer.Argument(help="An operation of this installation (SLUICE_OPERATIONS).")],
    file: File = None,
    *,
    dataset: Annotated[str | None, typer.Option(help="What the rows are; not for an operation that has only one.")] = (
        None
    ),
    from_topic: FromTopic = False,
    organisation: Organisation = None,
    reading: FileParameters,
    starting: StartParameters,
) -> None:
    """Run an operation over a CSV file's rows."""
    job = {"operation": operation, "dataset": dataset, "organisation": organisation, "options": reading.options()}
    send(file, job | starting.why_and_when(), starting, from_topic=from_topic)


@app.command()
@plain_errors
@with_groups
def export(
    *,
    dataset: Annotated[str, typer.Option(help="What to export; `sluice datasets` lists them.")],
    date_from: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="The first day.")],
    date_till: Annotated[str | None, typer.Option("--till", metavar="YYYY-MM-DD", help="The last day.")] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Where to write it; - is standard output (implies --wait)."
        ),
    ] = None,
    organisation: Organisation = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Cells as they are, also those that a spreadsheet would run as a formula.")
    ] = False,
    rate: Rate = None,
    notify: Notify = None,
    if_busy: IfBusy = "refuse",
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only say how many rows the export would have, and start nothing.")
    ] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Start an export that is ten times larger than any before.")
    ] = False,
    starting: StartParameters,
) -> None:
    """Export a dataset's rows of a date range as CSV, in the order of their dates."""
    from client.requests.downloads import result, save_result
    from client.requests.files import Target
    from client.requests.making import create, estimate_of
    from commandline.connection import Api, plainly
    from commandline.view.output import print_file, show_estimate

    api = Api()
    options = options_of(False, None, rate, if_busy, raw=raw, notify=notify)
    job: dict[str, Any] = {"operation": "export", "dataset": dataset, "organisation": organisation}
    job |= {"from": date_from, "till": date_till, "options": options, **starting.why_and_when()}
    job |= {"confirm": True} if confirm else {}
    if estimate:
        show_estimate(api.json(estimate_of(job)), as_json=starting.as_json)
        return
    shown = output == "-"
    if shown and starting.as_json:
        raise usage("-o - and --json both write to standard output; name a file, or leave one of them out")
    if output is not None and not shown:
        with plainly():
            Target(Path(output))  # what can't be written is told before there is a job
    made = api.json(create(job, starting.idempotency_key or None))
    if output is None:
        conclude(made, wait=starting.wait, as_json=starting.as_json)
        return
    code = conclude(made, wait=True, as_json=starting.as_json, end=False, remarks=shown)
    if code == 0 and shown:
        print_file(api.pieces(result(made["id"])))
    elif code == 0:
        api.json(save_result(made["id"], output))
    raise typer.Exit(code)
