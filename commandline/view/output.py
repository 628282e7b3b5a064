"""Bars and tables on the terminal. Bars and remarks go to stderr, so that stdout holds what was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from commandline.view.wording import Json, columns_line, documents_line, done_and_total, format_line, line
from runtime.text.formatting import number, size, way
from runtime.text.tables import Column, show
from runtime.text.terminal import out, say, visible
from runtime.text.terminal import out_json as print_json

__all__ = ["live", "out", "print_json", "say", "sending", "show_errors", "show_history"]


@contextmanager
def sending(name: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """Show a bar while a file is sent; call the value with the bytes sent so far. None: there is no bar."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from runtime.text.remarks import Remarks

    columns = (
        TextColumn("Sending {task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Remarks(), transient=True) as bar:
        task = bar.add_task(visible(name), total=total)
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
    from rich.live import Live

    from commandline.view.progress_line import JobBar
    from runtime.text.remarks import Remarks

    with Live(JobBar(None), console=Remarks(), refresh_per_second=10) as bar:
        yield (
            lambda job: bar.update(JobBar(job)),
            lambda text: bar.console.print(visible(text), markup=False, highlight=False, soft_wrap=True),
        )


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
        Column("job"), Column("operation", spare=1), Column("dataset", spare=2), Column("organisation", spare=3),
        Column("state"), Column("rows", right=True), Column("of", right=True, spare=4),
        Column("%", right=True, spare=6), Column("errors", right=True), Column("rows/s", right=True, spare=7),
        Column("created", spare=5),
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
    show(columns, rows)


def show_limits(limits: Iterable[Json]) -> None:
    """Limits as a table."""
    columns = (
        Column("limit"), Column("most", right=True), Column("used", right=True), Column("status", right=True, spare=2),
        Column("setting", spare=1),
    )  # fmt: skip
    rows = [
        (limit["name"], f"{limit['most']:,g}" if limit["most"] % 1 else number(int(limit["most"])),
         "" if limit["used"] is None else number(limit["used"]), str(limit["status"]), limit["setting"])
        for limit in limits
    ]  # fmt: skip
    show(columns, rows)


def show_estimate(estimate: Json, *, as_json: bool) -> None:
    """How large an export would be."""
    if as_json:
        print_json(estimate)
        return
    before = estimate["largest_before"]
    than = "it would be the first one" if before is None else f"the largest before had {number(before)} rows"
    out(f"{number(estimate['rows'])} rows, about {size(estimate['bytes'])}; {than}.")
    if estimate["needs_confirm"]:
        out("The export needs --confirm: it is ten times larger than any before.")


def show_preview(preview: Json) -> None:
    """What a dry run has found."""
    out(
        f"{number(preview['rows_valid'])} of {number(preview['rows_total'])} rows can be stored, "
        f"{number(preview['rows_failed'])} can't."
    )
    if preview["errors"]:
        out()
        out(f"The first {len(preview['errors'])} row errors:")
        columns = (Column("row", right=True), Column("column"), Column("value"), Column("reason", fold=True))
        show(
            columns,
            [(number(e["row"]), e["column"] or "-", e["value"] or "", e["reason"]) for e in preview["errors"]],
        )
    if preview["rows"]:
        out()
        out(f"The first {len(preview['rows'])} rows, as they would be stored:")
        names = [name for name in preview["rows"][0]["document"] if name != "sluice"]
        cells = [
            [
                number(row["row"]),
                *("" if (value := row["document"].get(name)) is None else str(value) for name in names),
            ]
            for row in preview["rows"]
        ]
        show((Column("row", right=True), *(Column(visible(name)) for name in names)), cells)
    out()
    out(f"`sluice start {preview['job_id']}` makes the real job of it.")


_TOLD = ("columns", "encoding", "delimiter", "skip_lines", "comment")
"""Options that show in what became of them."""


def show_keys(keys: Iterable[Json]) -> None:
    """Keys as a table."""
    columns = (
        Column("key"), Column("name"), Column("role"), Column("organisations", spare=1), Column("state"),
        Column("last used", spare=2), Column("created", spare=3), Column("expires", spare=4),
    )  # fmt: skip
    rows = []
    for key in keys:
        state = "revoked" if key["revoked_at"] else "in use" if key["usable"] else "expired"
        organisations = "all" if key["organisations"] is None else ", ".join(key["organisations"])
        times = [(key[name] or "never")[:16].replace("T", " ") for name in ("last_used_at", "created_at", "expires_at")]
        rows.append((key["id"], key["name"], key["role"], organisations, state, *times))
    show(columns, rows)


def show_webhooks(webhooks: Iterable[Json]) -> None:
    """Webhooks as a table."""
    columns = (
        Column("webhook"), Column("name"), Column("organisation", spare=2), Column("is"), Column("waiting"),
        Column("given up"), Column("address", spare=1), Column("last error", spare=3),
    )  # fmt: skip
    rows = []
    for hook in webhooks:
        counts = f"{hook['pending']:,}", f"{hook['failed']:,}"
        where = hook["url"] or "addresses of jobs"
        rows.append(
            (hook["id"], hook["name"], hook["organisation"], hook["condition"], *counts, where, hook["error"] or "")
        )
    show(columns, rows)


def show_deliveries(deliveries: Iterable[Json]) -> None:
    """Deliveries as a table."""
    columns = (
        Column("event"), Column("type"), Column("is"), Column("attempts"), Column("last", spare=2),
        Column("next", spare=3), Column("error", spare=1),
    )  # fmt: skip
    rows = []
    for one in deliveries:
        times = [(one[name] or "")[:19].replace("T", " ") for name in ("tried_at", "next_at")]
        kind = one["type"].removeprefix("sluice.job.")
        rows.append((one["event_id"], kind, one["status"], str(one["attempts"]), *times, one["error"] or ""))
    show(columns, rows)


def show_job(job: Json) -> None:
    """Everything about one job."""
    progress, source = job["progress"], job["source"]
    facts = {
        "job": job["id"],
        "state": job["state"],
        "reason": job["reason"],
        "operation": f"{job['operation']} {way(job['operation'])} {job['dataset']}, organisation {job['organisation']}",
        "source": f"{source['name']}, {size(source['bytes'])}" if source["name"] else source["kind"],
        "format": (format_line(job) or "").removeprefix("Format: ") or None,
        "columns": (columns_line(job) or "").removeprefix("Columns: ") or None,
        "dates": f"from {job['date_from']} till {job['date_till'] or 'the last'}" if job.get("date_from") else None,
        "options": ", ".join(_option(name, value) for name, value in job["options"].items() if name not in _TOLD)
        or None,
        "rows": f"{number(progress['rows_applied'])} applied, {number(progress['rows_failed'])} refused, "
        f"{number(progress['rows_rolled_back'])} taken out, of {number(progress['rows_total'])}",
        "documents": documents_line(job),
        "progress": line(job),
        "created": f"{job['created_at']} by {job['created_by']}",
        "started": job["started_at"],
        "ended": job["ended_at"],
    }
    for name, value in facts.items():
        if value is not None:
            out(f"{name:<10} {value}")
    if job["lanes"]:
        out()
        names = ("partition", "rows applied", "rows taken out", "blocks parked", "last offset")
        keys = ("partition", "applied_rows", "undone_rows", "parked_blocks", "last_offset")
        show(
            [Column(name, right=True) for name in names], [[number(lane[key]) for key in keys] for lane in job["lanes"]]
        )
        for lane in job["lanes"]:
            if lane["error"]:
                out(f"partition {lane['partition']}: {lane['error']}")


def _option(name: str, value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {key}={text}" for key, text in value.items())
    return f"{name} {value}"


def show_errors(page: Json, job_id: str) -> None:
    """A page of row errors."""
    if not page["errors"]:
        out("There are no row errors.")
        return
    columns = (
        Column("row", right=True), Column("line", right=True, spare=1), Column("column"), Column("value"),
        Column("reason", fold=True),
    )  # fmt: skip
    show(
        columns,
        [
            (number(e["row"]), number(e["line"] or None), e["column"] or "-", e["value"] or "", e["reason"])
            for e in page["errors"]
        ],
    )
    if page["total"] > len(page["errors"]):
        out(f"{number(page['total'])} in all; `sluice errors {job_id} --csv` writes them all.")


def show_history(history: Iterable[Json]) -> None:
    """What happened to a job."""
    columns = (Column("at"), Column("what"), Column("state", spare=1), Column("by"), Column("why", fold=True))
    show(
        columns,
        [
            (
                entry["at"][:19].replace("T", " "),
                entry["event"] or f"{entry['command']} refused",
                entry["state"] or "",
                entry["by"] or "",
                _why(entry),
            )
            for entry in history
        ],
    )


def _why(entry: Json) -> str:
    """Why it happened; of a refusal why it was refused, and why it had been asked for."""
    reason, message = entry["reason"] or "", entry["message"] or ""
    return f"{message} (asked for because: {reason})" if reason and message else reason or message


def print_file(pieces: Iterable[bytes]) -> None:
    """Print a file on stdout, byte by byte as it comes."""
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
