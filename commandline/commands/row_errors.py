"""The command that shows the rows that a job refused: by row, by reason, or as a file."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.arguments import csv_or_json
from commandline.errors import plain_errors, usage
from commandline.parameters import AsJson, JobId
from commandline.view.wording import Json
from runtime.text.formatting import counted, number

app = typer.Typer()


@app.command()
@plain_errors
def errors(
    job_id: JobId,
    as_csv: Annotated[bool, typer.Option("--csv", help="All of them as CSV, ready to be corrected and sent again.")] = (
        False
    ),
    groups: Annotated[
        bool, typer.Option("--groups", help="Row errors grouped by column and reason, with the first rows of each.")
    ] = (False),
    like: Annotated[
        int | None, typer.Option(min=0, metavar="ROW", help="Only rows with the column and the reason of this one.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the rows that a job refused, and why."""
    from client.requests import downloads, reports
    from commandline.connection import Api
    from commandline.view.output import print_file, print_json, show_errors

    csv_or_json(as_csv, as_json)
    if as_csv + groups + (like is not None) > 1:
        raise usage("--csv, --groups and --like are different lists; use one of them")
    api = Api()
    found = api.job(job_id)["id"]
    if as_csv:
        print_file(api.pieces(downloads.errors_csv(found)))
        return
    if groups:
        page = api.json(reports.error_groups(found))
    else:
        page = api.json(reports.error_page(found, like=like, limit=limit))
    if as_json:
        print_json(page)
    elif groups:
        show_groups(page, limit)
    else:
        show_errors(page, found)


def show_groups(page: Json, limit: int) -> None:
    """Row errors by column and reason, a line each."""
    from commandline.view.output import out
    from runtime.text.tables import Column, show

    groups = page["groups"][:limit]
    if not groups:
        out("There are no row errors.")
        return
    columns = (
        Column("rows", right=True), Column("share", right=True), Column("column", spare=2),
        Column("first rows", spare=1), Column("reason", fold=True),
    )  # fmt: skip
    rows = [
        (
            number(group["rows"]),
            f"{100 * group['share']:.3g}%",
            group["column"] or "-",
            ", ".join(str(row["row"]) for row in group["first"][:3]) + (" ..." if group["rows"] > 3 else ""),
            group["reason"],
        )
        for group in groups
    ]
    show(columns, rows)
    left = page["total"] - sum(group["rows"] for group in groups)
    out(f"{counted(page['total'], 'row error')} in {counted(page['rows_done'], 'row')}.")
    if left:
        out(f"{number(left)} of them have other reasons; `sluice errors {page['job_id']} --csv` writes them all.")
    out(f"`sluice errors {page['job_id']} --like ROW` shows the rows with the reason of a row.")
