"""`sluice sample`: writes a CSV file of dummy data.

Faker and rich are imported when the command runs: `sluice` mounts this module at every start.
"""

import errno
import sys
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from runtime.text.terminal import say
from sample_csv.datasets import Dataset, Style, rows_of
from sample_csv.output import open_output

LAST_START = datetime(9998, 12, 31)  # a year later must still be a valid date

app = typer.Typer(add_completion=False)


def _rows(text: str) -> int:
    try:
        return rows_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _start(value: datetime) -> datetime:
    if value > LAST_START:
        raise typer.BadParameter(f"{value:%Y-%m-%d} is too late: the last start is {LAST_START:%Y-%m-%d}.")
    return value


@app.command("sample")
def sample(
    dataset: Annotated[Dataset, typer.Argument(help="What the rows are.", show_default=False)],
    rows: Annotated[
        int,
        typer.Argument(
            parser=_rows,
            metavar="ROWS",
            help="How many: a whole number, small (1,000), medium (10,000), large (100,000).",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file; - is standard output, the default.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same file.")] = 1,
    start: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            callback=_start,
            show_default="2026-01-01",
            help="created_at: a year from this day.",
        ),
    ] = datetime(2026, 1, 1),
    style: Annotated[
        Style, typer.Option(help="What the columns are called: as the fields are, or as old files of people have them.")
    ] = Style.FIELDS,
) -> None:
    """Write a CSV file of dummy people or teams."""
    path = None if output is None or str(output) == "-" else output
    if style is Style.LEGACY and dataset is not Dataset.PEOPLE:
        raise typer.BadParameter(f"only people have the style {style.value}.", param_hint="'--style'")
    if path is not None and path.is_dir():
        raise _unwritable(path, "it is a folder: name a file in it")
    if path is not None and not path.parent.is_dir():
        raise _unwritable(path, f"the folder {path.parent} does not exist")
    began = perf_counter()
    try:
        size_bytes = _write(dataset, rows, seed, start, style, path)
    except OSError as error:
        if error.errno == errno.EPIPE and path is None:
            raise  # the reader has closed the pipe (`| head`); click ends quietly
        raise _unwritable(path, error.strerror) from None
    what = f"{rows:,} {dataset.value}, {size_bytes / 1e6:,.1f} MB, seed {seed}"
    say(f"Wrote {path or 'standard output'}: {what}, in {perf_counter() - began:.1f} s.")


def _unwritable(path: Path | None, why: str | None) -> typer.Exit:
    """Say why the output can't be written; what the command ends with."""
    say(f"Cannot write {path or 'standard output'}: {why}.")
    return typer.Exit(1)


def _write(dataset: Dataset, rows: int, seed: int, start: datetime, style: Style, path: Path | None) -> int:
    """Writes the rows with a progress bar and returns the number of bytes."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from runtime.text.remarks import Remarks
    from sample_csv.rows import generate

    size_bytes = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Remarks()
    with (
        open_output(path) as stream,
        Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress,
    ):
        task = progress.add_task(dataset.value, total=rows)
        for chunk in generate(dataset, rows, seed, start.date(), style):
            stream.write(chunk.data)
            size_bytes += len(chunk.data)
            progress.advance(task, chunk.rows)
    return size_bytes
