"""A job's report as text, to be pasted into a ticket: plain lines without markup. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from runtime.text.formatting import duration, format_words, number, size, spaced, way

Json = Mapping[str, Any]

_MOST_COLUMNS: Final = 10


def report_text(report: Json) -> str:
    """The text of the JSON that ``/v1/jobs/{id}/report`` answers with; each line ends with a line feed."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: Json) -> Iterator[str]:
    job = report["job"]
    standing = "" if report["ended"] else f", and not over; as of {_time(report['written_at'])} UTC"
    yield f"Job {job['id']}: {job['state']}{standing}"
    yield from _facts(report, job)
    errors = report["errors"]
    if errors is not None and errors["groups"]:
        yield ""
        yield f"Row errors: {number(errors['total'])} in {number(errors['rows_done'])} rows"
        for group in errors["groups"]:
            rows = ", ".join(str(row["row"]) for row in group["first"][:3])
            more = ", ..." if group["rows"] > 3 else ""
            yield f"  {number(group['rows']):>11}  {group['reason']} (rows {rows}{more})"
        if errors["others"]:
            yield f"  {number(errors['others']):>11}  with other reasons"
    elif errors is None and job["source"]["kind"] != "query":
        yield ""
        yield "Row errors: not known, as Elasticsearch does not answer"
    yield ""
    yield "History (UTC)"
    if report["earlier"]:
        yield f"  {number(report['earlier'])} older records are left out"
    for entry in report["history"]:
        yield f"  {_time(entry['at'])}  {_happened(entry)}"


def _facts(report: Json, job: Json) -> Iterator[str]:
    source, progress, times = job["source"], job["progress"], report["times"]
    what = f"{job['operation']} {way(job['operation'])} {job['dataset']}"
    yield _fact("asked", f"{what}, organisation {job['organisation']}")
    yield _fact("by", f"{job['created_by']}, {_time(times['created_at'])} UTC")
    why = next((entry["reason"] for entry in report["history"] if entry["event"] == "Created"), None)
    if why:
        yield _fact("why", why)
    if job["reason"] and job["reason"] != why:
        yield _fact("reason now", job["reason"])
    if job.get("date_from"):
        yield _fact("dates", f"from {job['date_from']} till {job['date_till'] or 'the last'}")
    if source["name"]:
        written = ", ".join(format_words(source["format"])) if source.get("format") else ""
        yield _fact("file", ", ".join(filter(None, (source["name"], size(source["bytes"]), written))))
    if source["sha256"]:
        yield _fact("SHA-256", source["sha256"])
    if job.get("retry") and job["retry"]["name"]:
        yield _fact("corrected", f"{job['retry']['name']}, SHA-256 {job['retry']['sha256']}")
    options = [f"{name} {_value(value)}" for name, value in job["options"].items()]
    if options:
        yield _fact("options", ", ".join(options))
    rows = f"{number(progress['rows_applied'])} applied, {number(progress['rows_failed'])} refused"
    rows += f", {number(progress['rows_rolled_back'])} taken out, of {number(progress['rows_total'])}"
    yield _fact("rows", rows)
    if times["seconds"] is not None:
        paused = f", {duration(times['seconds_paused'])} of it paused" if times["seconds_paused"] >= 1 else ""
        speed = f", {number(times['rows_per_second'])} rows a second" if times["rows_per_second"] else ""
        yield _fact("took", f"{duration(times['seconds'])}{paused}{speed}")
        yield _fact("started", f"{_time(times['started_at'])} UTC")
    if report["ended"]:
        yield _fact("ended", f"{_time(times['ended_at'])} UTC")


def _fact(name: str, value: str) -> str:
    return f"  {name:<10} {value}"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        shown = [f"{key}={text}" for key, text in list(value.items())[:_MOST_COLUMNS]]
        return " ".join([*shown, "..."] if len(value) > _MOST_COLUMNS else shown)
    return str(value)


def _happened(entry: Json) -> str:
    if entry["type"] == "rejected":
        return f"{entry['command']} was refused: {entry['message']}"
    by = f" by {entry['by']}" if entry["by"] else ""
    because = f": {entry['reason']}" if entry["reason"] and entry["by"] else ""
    what = spaced(entry["event"] or "Event")
    if entry["event"] == "RateSet":
        what += f" ({entry['details'].get('rows_per_second') or 'no limit'})"
    return f"{what}{by}{because}"


def _time(iso: str | None) -> str:
    return "-" if iso is None else iso[:19].replace("T", " ")
