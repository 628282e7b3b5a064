"""Commands that make jobs: upload, teams, export, and run for operations of one's own."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from commandline import arguments
from commandline.errors import INTERRUPTED, plain_errors, usage
from commandline.parameters import Notify, Reason, StartAt, Wait

app = typer.Typer()

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
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check every row, write nothing.")]
Mode = Annotated[
    str | None,
    typer.Option(
        metavar="create|upsert|replace|update|delete",
        help="What becomes of documents that the rows' keys name; without it the dataset's own mode.",
    ),
]
Empty = Annotated[
    str | None,
    typer.Option(metavar="keep|clear", help="What an empty cell does to a value that is there (upsert, update): keep."),
]
MaxErrors = Annotated[
    str | None, typer.Option(metavar="N|N%", help="Row errors, or a share of the rows, at which the job pauses itself.")
]
Rate = Annotated[
    float | None, typer.Option(parser=arguments.rate, metavar="N", help="Rows applied per second, at most.")
]
IfBusy = Annotated[str, typer.Option(metavar="refuse|queue", help="When another job has the data: refuse, or queue.")]
IfSame = Annotated[
    str,
    typer.Option(metavar="refuse|allow", help="When a job has applied this file before: refuse, or apply it again."),
]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="COLUMN=FIELD", help="Which field a column of the file is; COLUMN= passes over it."),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=TEXT", help="A field that has the same text in every row.")
]
IgnoreExtra = Annotated[bool, typer.Option("--ignore-extra", help="Pass over columns that are no field's.")]
MappingName = Annotated[
    str | None,
    typer.Option("--mapping", metavar="NAME", help="Columns as this mapping has them, see `sluice mappings`."),
]
Encoding = Annotated[
    str | None, typer.Option(metavar="NAME", help="The file's encoding, such as cp1252, if it is not UTF-8.")
]
Delimiter = Annotated[
    str | None,
    typer.Option(metavar="SIGN", help="Between values: a character, or comma, semicolon, tab, pipe."),
]
SkipLines = Annotated[int, typer.Option(metavar="N", min=0, help="Lines in front of the header to pass over.")]
Comment = Annotated[
    str | None, typer.Option(metavar="SIGN", help="Pass over lines in front of the header that begin with it.")
]
Quote = Annotated[
    str | None, typer.Option(metavar="SIGN", help="What values are quoted with: a character, or single, double, none.")
]
Escape = Annotated[
    str | None,
    typer.Option(metavar="SIGN", help="A character, or backslash: the one behind it is part of the value."),
]
Suspicions = Annotated[
    str | None,
    typer.Option(
        metavar="pause|note|off",
        help="When the first rows look like an accident: pause before one is written, note it, or do not look. "
        "Without it: pause where the organisation has 1,000 rows to compare with, else note.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the job as JSON, and nothing else.")]
Key = Annotated[str | None, typer.Option(metavar="TEXT", help="A repeat with the same key returns the first job.")]


@app.command()
@plain_errors
def upload(
    file: File = None,
    *,
    dataset: Annotated[str | None, typer.Option(help="What the rows are; `sluice datasets` lists them.")] = None,
    again: Annotated[
        str | None, typer.Option(metavar="ID", help="No file: that of this job, with its options but for those given.")
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
    map_: Map = None,
    set_: Set = None,
    mapping: MappingName = None,
    ignore_extra: IgnoreExtra = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    skip_lines: SkipLines = 0,
    comment: Comment = None,
    quote: Quote = None,
    escape: Escape = None,
    dry_run: DryRun = False,
    max_errors: MaxErrors = None,
    suspicions: Suspicions = None,
    rate: Rate = None,
    notify: Notify = None,
    if_busy: IfBusy = "refuse",
    if_same: IfSame = "refuse",
    wait: Wait = False,
    as_json: AsJson = False,
    idempotency_key: Key = None,
    start_at: StartAt = None,
    reason: Reason = None,
) -> None:
    """Upload a CSV file's rows into a dataset: create documents, or change those that their keys name."""
    options = options_of(
        dry_run, max_errors, rate, if_busy, if_same, raw=raw, suspicions=suspicions, notify=notify
    ) | _columns(map_, set_, ignore_extra, mapping)
    options |= {name: value for name, value in (("mode", mode), ("empty", empty)) if value is not None}
    options |= _format(encoding, delimiter, skip_lines, comment, quote, escape)
    job: dict[str, Any] = {"options": options, **_why_and_when(reason, start_at)}
    given = {"dataset": dataset, "organisation": organisation}
    job |= {name: value for name, value in given.items() if value is not None}
    if again is not None:
        if file is not None or from_topic:
            raise usage("--again reads the file of another job: name no file with it, and leave out --from-topic")
        _send_again(again, job, idempotency_key, wait=wait, as_json=as_json)
        return
    if continue_ is not None:
        if file is None or file == "-":
            raise usage("name the file whose rest is to be sent")
        _show_made(_in_parts(Path(file), continue_, quiet=as_json), wait=wait, as_json=as_json)
        return
    if dataset is None:
        raise usage("say what the rows are with --dataset; `sluice datasets` lists the datasets")
    job = {"operation": "upload", **job}
    if resumable and file is not None:
        _send_resumable(Path(file), job, idempotency_key, wait=wait, as_json=as_json)
        return
    _send(file, job, idempotency_key, from_topic=from_topic, wait=wait, as_json=as_json)


@app.command()
@plain_errors
def teams(
    file: File = None,
    from_topic: FromTopic = False,
    organisation: Organisation = None,
    map_: Map = None,
    set_: Set = None,
    mapping: MappingName = None,
    ignore_extra: IgnoreExtra = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    skip_lines: SkipLines = 0,
    comment: Comment = None,
    quote: Quote = None,
    escape: Escape = None,
    dry_run: DryRun = False,
    max_errors: MaxErrors = None,
    suspicions: Suspicions = None,
    rate: Rate = None,
    notify: Notify = None,
    if_busy: IfBusy = "refuse",
    if_same: IfSame = "refuse",
    wait: Wait = False,
    as_json: AsJson = False,
    idempotency_key: Key = None,
    start_at: StartAt = None,
    reason: Reason = None,
) -> None:
    """Create the teams that a CSV file lists."""
    options = options_of(dry_run, max_errors, rate, if_busy, if_same, suspicions=suspicions, notify=notify) | _columns(
        map_, set_, ignore_extra, mapping
    )
    options |= _format(encoding, delimiter, skip_lines, comment, quote, escape)
    job = {"operation": "teams", "dataset": "teams", "organisation": organisation, "options": options}
    job |= _why_and_when(reason, start_at)
    _send(file, job, idempotency_key, from_topic=from_topic, wait=wait, as_json=as_json)


@app.command()
@plain_errors
def run(
    operation: Annotated[str, typer.Argument(help="An operation of this installation (SLUICE_OPERATIONS).")],
    file: File = None,
    dataset: Annotated[str | None, typer.Option(help="What the rows are; not for an operation that has only one.")] = (
        None
    ),
    from_topic: FromTopic = False,
    organisation: Organisation = None,
    map_: Map = None,
    set_: Set = None,
    mapping: MappingName = None,
    ignore_extra: IgnoreExtra = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    skip_lines: SkipLines = 0,
    comment: Comment = None,
    quote: Quote = None,
    escape: Escape = None,
    dry_run: DryRun = False,
    max_errors: MaxErrors = None,
    suspicions: Suspicions = None,
    rate: Rate = None,
    notify: Notify = None,
    if_busy: IfBusy = "refuse",
    if_same: IfSame = "refuse",
    wait: Wait = False,
    as_json: AsJson = False,
    idempotency_key: Key = None,
    start_at: StartAt = None,
    reason: Reason = None,
) -> None:
    """Run an operation over a CSV file's rows."""
    options = options_of(dry_run, max_errors, rate, if_busy, if_same, suspicions=suspicions, notify=notify) | _columns(
        map_, set_, ignore_extra, mapping
    )
    options |= _format(encoding, delimiter, skip_lines, comment, quote, escape)
    job = {"operation": operation, "dataset": dataset, "organisation": organisation, "options": options}
    job |= _why_and_when(reason, start_at)
    _send(file, job, idempotency_key, from_topic=from_topic, wait=wait, as_json=as_json)


@app.command()
@plain_errors
def export(
    dataset: Annotated[str, typer.Option(help="What to export; `sluice datasets` lists them.")],
    date_from: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="The first day.")],
    date_till: Annotated[str | None, typer.Option("--till", metavar="YYYY-MM-DD", help="The last day.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to write it (implies --wait).")] = None,
    organisation: Organisation = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Cells as they are, also those that a spreadsheet would run as a formula.")
    ] = False,
    rate: Rate = None,
    notify: Notify = None,
    if_busy: IfBusy = "refuse",
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only say how many rows it would have, and start nothing.")
    ] = False,
    confirm: Annotated[bool, typer.Option("--confirm", help="Also if it is ten times larger than any before.")] = False,
    wait: Wait = False,
    as_json: AsJson = False,
    idempotency_key: Key = None,
    start_at: StartAt = None,
    reason: Reason = None,
) -> None:
    """Export a dataset's rows of a date range as CSV, in the order of their dates."""
    from client.requests.downloads import save_result
    from client.requests.files import Target
    from client.requests.making import create, estimate_of
    from commandline.connection import Api, plainly
    from commandline.view.output import show_estimate

    api = Api()
    options = options_of(False, None, rate, if_busy, raw=raw, notify=notify)
    job: dict[str, Any] = {"operation": "export", "dataset": dataset, "organisation": organisation}
    job |= {"from": date_from, "till": date_till, "reason": reason, "options": options}
    job["start_at"] = arguments.when(start_at)
    job |= {"confirm": True} if confirm else {}
    if estimate:
        show_estimate(api.json(estimate_of(job)), as_json=as_json)
        return
    if output is not None:
        with plainly():
            Target(output)  # what can't be written is told before there is a job
    made = api.json(create(job, idempotency_key or None))
    if output is None:
        conclude(made, wait=wait, as_json=as_json)
        return
    code = conclude(made, wait=True, as_json=as_json, end=False)
    if code == 0:
        api.json(save_result(made["id"], output))
    raise typer.Exit(code)


def _why_and_when(reason: str | None, start_at: str | None) -> dict[str, Any]:
    return {"reason": reason, "start_at": arguments.when(start_at)}


def options_of(
    dry_run: bool,
    max_errors: str | None,
    rate: float | None,
    if_busy: str,
    if_same: str = "refuse",
    *,
    raw: bool = False,
    suspicions: str | None = None,
    notify: str | None = None,
) -> dict[str, Any]:
    """The options of a job, as the API takes them."""
    given = {"max_errors": arguments.row_errors(max_errors), "rows_per_second": rate}
    given |= {"suspicions": suspicions, "notify": notify}
    return {
        "dry_run": dry_run,
        "if_busy": if_busy,
        **({"raw": True} if raw else {}),
        **({"if_same": if_same} if if_same != "refuse" else {}),
        **{name: value for name, value in given.items() if value is not None},
    }


def _columns(map_: list[str] | None, set_: list[str] | None, ignore_extra: bool, mapping: str | None) -> dict[str, Any]:
    """What is said of the file's columns, as the API takes it."""
    given = {
        "columns": arguments.columns(map_ or []),
        "set": arguments.constants(set_ or []),
        "ignore_extra": ignore_extra,
        "mapping": mapping,
    }
    return {name: value for name, value in given.items() if value}


def _format(
    encoding: str | None,
    delimiter: str | None,
    skip_lines: int,
    comment: str | None,
    quote: str | None,
    escape: str | None,
) -> dict[str, Any]:
    """What is said of how the file is written, as the API takes it."""
    given = {"encoding": encoding, "delimiter": delimiter, "skip_lines": skip_lines, "comment": comment}
    given |= {"quote": quote, "escape": escape}
    return {name: value for name, value in given.items() if value not in (None, 0)}


def _send(
    file: str | None, job: dict[str, Any], key: str | None, *, from_topic: bool, wait: bool, as_json: bool
) -> None:
    from client.requests.making import create, send_file
    from commandline.connection import Api

    if (file is None) != from_topic:
        raise usage("name a file, or say --from-topic; not both")
    if file is None:
        made = Api().json(create({**job, "source": "topic"}, key or None))
        conclude(made, wait=wait, as_json=as_json)
        return
    if file == "-":
        made = Api().json(send_file(sys.stdin.buffer, job, key or None, name="stdin.csv"))
    elif re.match(r"[a-z0-9]+://", file):
        made = Api().json(send_file(file, job, key or None))
    elif _is_large(Path(file)):
        _send_resumable(Path(file), job, key, wait=wait, as_json=as_json)
        return
    else:
        made = _sent(Path(file), job, key, quiet=as_json)
    _show_made(made, wait=wait, as_json=as_json)


def _sent(file: Path, job: dict[str, Any], key: str | None, *, quiet: bool) -> dict[str, Any]:
    from commandline.connection import Api
    from commandline.view.output import sending

    with sending(file.name, _size(file), quiet=quiet) as progress:
        return Api().send_file(file, job, key, progress)


def _is_large(file: Path) -> bool:
    from client.requests.making import LARGE_BYTES

    return _size(file) >= LARGE_BYTES


def _size(file: Path) -> int:
    """Bytes of a file that can be sent; raises ClientError where it can't."""
    from client.requests.files import opened
    from commandline.connection import plainly

    with plainly(), opened(file):
        return file.stat().st_size


def _send_resumable(file: Path, job: dict[str, Any], key: str | None, *, wait: bool, as_json: bool) -> None:
    from client.requests.files import shown_name
    from client.requests.making import draft
    from commandline.connection import Api
    from commandline.view.output import say

    made = Api().json(draft(shown_name(file), _size(file), job, key or None))
    say(f"Job {made['id']} takes the file in parts. If this breaks off: sluice upload {file} --continue {made['id']}")
    _show_made(_in_parts(file, made["id"], quiet=as_json), wait=wait, as_json=as_json)


def _in_parts(file: Path, job_id: str, *, quiet: bool) -> dict[str, Any]:
    from client.requests.parts import continue_upload
    from commandline.connection import Api
    from commandline.view.output import sending

    api = Api()
    job = api.job(job_id)
    if job["state"] != "DRAFT":
        return job
    with sending(file.name, _size(file), quiet=quiet) as progress:
        return api.json(continue_upload(job["id"], file, progress=progress))


def _send_again(name: str, job: dict[str, Any], key: str | None, *, wait: bool, as_json: bool) -> None:
    from client.requests.making import create
    from commandline.connection import Api

    api = Api()
    made = api.json(create({**job, "source": {"job": api.job(name)["id"]}}, key or None))
    _show_made(made, wait=wait, as_json=as_json)


def _show_made(made: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    """Say how the file of a new job is read, and show the job as `conclude` does."""
    from commandline.view.output import say
    from commandline.view.wording import columns_line, format_line

    for told in () if as_json else (format_line(made), columns_line(made)):
        if told:
            say(told)
    conclude(made, wait=wait, as_json=as_json)


def conclude(job: dict[str, Any], *, wait: bool, as_json: bool, end: bool = True) -> int:
    """Show a job that was made, or wait for it; the exit code. `end`: leave the program with it, if it is not 0."""
    from client.requests.reports import preview
    from commandline.connection import Api
    from commandline.following import exit_code, follow
    from commandline.view.output import live, out, print_json, say, show_preview
    from commandline.view.wording import outcome, suspicion_lines
    from runtime.text.formatting import way

    if not wait:
        if as_json:
            print_json(job)
        else:
            out(f"{outcome(job)} `sluice watch {job['id']}` shows how far it is.")
        return 0
    if not as_json:
        what = f"{job['operation']} {way(job['operation'])} {job['dataset']}"
        say(f"Job {job['id']}: {what}, organisation {job['organisation']}")
    try:
        with live(quiet=as_json) as (show, remark):
            for job in follow(Api(), job["id"], remark):  # noqa: B020
                show(job)
    except KeyboardInterrupt:
        say(f"The job goes on. See it again with `sluice watch {job['id']}`.")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(job)
    else:
        out(outcome(job))
        for told in suspicion_lines(job):
            out(told)
        if job["options"].get("dry_run") and job["state"].startswith("COMPLETED"):
            show_preview(Api().json(preview(job["id"])))
    code = exit_code(job)
    if end and code:
        raise typer.Exit(code)
    return code
