"""Bars and tables on the terminal. Bars and remarks go to stderr, so that stdout holds what was asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from api.client.words import Json, done_and_total, duration, line, number, size, way


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """A remark, on stderr."""
    print(text, file=sys.stderr, flush=True)


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> None:
    """Rows under their columns (name, "left" or "right"); whole and unwrapped where stdout is no terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name, side in columns:
        shown.add_column(name, justify="right" if side == "right" else "left", no_wrap=name == "job")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = 500
    console.print(shown)


@contextmanager
def sending(name: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """A bar for a file that is being sent; the value is to be called with the bytes sent so far."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("Sending {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=total)
        yield lambda sent: bar.update(task, completed=sent)


@contextmanager
def live(*, quiet: bool) -> Iterator[tuple[Callable[[Json], None], Callable[[str], None]]]:
    """A live bar for a job: the first value is to be called with the job, the second with a remark.

    Where stderr is no terminal, a line for each change of state.
    """
    if quiet:
        yield (lambda job: None), say
        return
    if not sys.stderr.isatty():
        yield _Lines(), say
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>5.1f}%  {task.fields[rows]}  {task.fields[rate]}  {task.fields[left]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("...", total=None, rows="", rate="", left="")

        def show(job: Json) -> None:
            progress = job["progress"]
            done, total = done_and_total(job)
            failed = f", {number(progress['rows_failed'])} errors" if progress["rows_failed"] else ""
            rate, left = progress["rows_per_second"], progress["eta_seconds"]
            bar.update(
                task,
                description=job["state"],
                total=100.0 if total is not None else None,
                completed=progress["percent"],
                rows=f"{number(done)} / {number(total)} rows{failed}",
                rate=f"{number(rate)} rows/s" if rate else "",
                left=f"{duration(left)} left" if left else "",
            )

        yield show, lambda text: bar.console.print(text, markup=False, highlight=False)


class _Lines:
    """A line for each change of state."""

    def __init__(self) -> None:
        self._state = ""

    def __call__(self, job: Json) -> None:
        if job["state"] != self._state:
            self._state = job["state"]
            say(line(job))


def show_jobs(jobs: Iterable[Json]) -> None:
    """Jobs as a table."""
    columns = (
        ("job", "left"), ("operation", "left"), ("dataset", "left"), ("organisation", "left"), ("state", "left"),
        ("rows", "right"), ("of", "right"), ("%", "right"), ("errors", "right"), ("rows/s", "right"),
        ("created", "left"),
    )  # fmt: skip
    rows = []
    for job in jobs:
        progress = job["progress"]
        done, total = done_and_total(job)
        rows.append(
            (
                job["id"],
                job["operation"],
                job["dataset"],
                job["organisation"],
                job["state"],
                number(done),
                number(total),
                f"{progress['percent']:g}",
                number(progress["rows_failed"]),
                number(progress["rows_per_second"]) if progress["rows_per_second"] else "",
                job["created_at"][:19].replace("T", " "),
            )
        )
    table(columns, rows)


def show_preview(preview: Json) -> None:
    """What a dry run has found."""
    print(
        f"{number(preview['rows_valid'])} of {number(preview['rows_total'])} rows can be stored, "
        f"{number(preview['rows_failed'])} can't."
    )
    if preview["errors"]:
        print(f"\nThe first {len(preview['errors'])} row errors:")
        columns = (("row", "right"), ("column", "left"), ("value", "left"), ("reason", "left"))
        table(
            columns,
            [(number(e["row"]), e["column"] or "-", e["value"] or "", e["reason"]) for e in preview["errors"]],
        )
    if preview["rows"]:
        print(f"\nThe first {len(preview['rows'])} rows, as they would be stored:")
        names = [name for name in preview["rows"][0]["document"] if name != "sluice"]
        cells = [
            [
                number(row["row"]),
                *("" if row["document"][name] is None else str(row["document"][name]) for name in names),
            ]
            for row in preview["rows"]
        ]
        table((("row", "right"), *((name, "left") for name in names)), cells)
    print(f"\n`sluice start {preview['job_id']}` makes the real job of it.")


def show_job(job: Json) -> None:
    """Everything about one job."""
    progress, source = job["progress"], job["source"]
    facts = {
        "job": job["id"],
        "state": job["state"],
        "reason": job["reason"],
        "operation": f"{job['operation']} {way(job)} {job['dataset']}, organisation {job['organisation']}",
        "source": f"{source['name']}, {size(source['bytes'])}" if source["name"] else source["kind"],
        "dates": f"from {job['date_from']} till {job['date_till'] or 'the last'}" if job.get("date_from") else None,
        "options": ", ".join(f"{name} {value}" for name, value in job["options"].items()) or None,
        "rows": f"{number(progress['rows_applied'])} applied, {number(progress['rows_failed'])} refused, "
        f"{number(progress['rows_rolled_back'])} taken out, of {number(progress['rows_total'])}",
        "progress": line(job),
        "created": f"{job['created_at']} by {job['created_by']}",
        "started": job["started_at"],
        "ended": job["ended_at"],
    }
    for name, value in facts.items():
        if value is not None:
            print(f"{name:<10} {value}")
    if job["lanes"]:
        print()
        columns = tuple(
            (name, "right") for name in ("partition", "rows applied", "rows taken out", "blocks parked", "last offset")
        )
        keys = ("partition", "applied_rows", "undone_rows", "parked_blocks", "last_offset")
        table(columns, [[number(lane[key]) for key in keys] for lane in job["lanes"]])
        for lane in job["lanes"]:
            if lane["error"]:
                print(f"partition {lane['partition']}: {lane['error']}")
