"""A job in plain words. Pure."""

from __future__ import annotations

from typing import Any

from runtime.text.formatting import counted, duration, format_words, number

Json = dict[str, Any]


def done_and_total(job: Json) -> tuple[int, int | None]:
    """Rows that the current phase has done with, and rows that it has to do with (None: not known)."""
    progress = job["progress"]
    if job["phase"] == "undo":
        left = progress.get("rows_kept", 0) + progress.get("rows_not_restored", 0)
        return progress["rows_rolled_back"] + left, progress["rows_applied"] - progress.get("rows_unchanged", 0)
    return progress["rows_applied"] + progress["rows_failed"], progress["rows_total"]


def line(job: Json) -> str:
    """Where the job stands, in one line."""
    progress = job["progress"]
    done, total = done_and_total(job)
    verb = "taken out" if job["phase"] == "undo" else "done"
    text = f"{job['state']}: {number(done)} of {number(total)} rows {verb} ({progress['percent']:g}%)"
    if progress["rows_failed"]:
        text += f", {counted(progress['rows_failed'], 'row error')}"
    if progress["rows_per_second"]:
        text += f", {number(progress['rows_per_second'])} rows/s"
    if progress["eta_seconds"]:
        text += f", {duration(progress['eta_seconds'])} left"
    if timed := timer(job):
        text += f"; {timed}"
    if job.get("awaits"):
        text += f"; waiting for {job['awaits']}"
    return text


def timer(job: Json) -> str | None:
    """When the job goes on by itself; None: it does not."""
    if job.get("start_at"):
        return f"it starts at {_moment(job['start_at'])}, or before if it is resumed"
    return f"it goes on by itself at {_moment(job['resume_at'])}" if job.get("resume_at") else None


def _moment(iso: str) -> str:
    return f"{iso[:19].replace('T', ' ')} UTC"


def format_line(job: Json) -> str | None:
    """How the file was written, where it was not plain UTF-8 with commas; None: it was."""
    found = job["source"].get("format")
    parts = format_words(found) if found else []
    return f"Format: {', '.join(parts)}" if parts else None


def columns_line(job: Json) -> str | None:
    """Which columns of the file are which fields, where they are not called so; None: they all are."""
    found = job["source"].get("columns")
    if not found:
        return None
    renamed = [f"{name} is {field}" for name, field in found.items() if field not in (None, name)]
    dropped = [name for name, field in found.items() if field is None and not name.startswith("sluice_")]
    parts = [", ".join(renamed)] if renamed else []
    parts += [f"passed over: {', '.join(dropped)}"] if dropped else []
    return f"Columns: {'; '.join(parts)}" if parts else None


def suspicion_lines(job: Json) -> list[str]:
    """What the first rows look like, where the reason does not say it, and how to put it right."""
    found = job.get("suspicion")
    if not found:
        return []
    told = [] if found["message"] in (job.get("reason") or "") else [f"Its first rows: {found['message']}."]
    if found["command"]:
        told.append(f"To apply the file with its columns put right{_once_it_is_out(job)}: {found['command']}")
    return told


def _once_it_is_out(job: Json) -> str:
    """What has to be done about a job before its file can be applied again."""
    if job["state"] not in ("COMPLETED", "COMPLETED_WITH_ERRORS", "TERMINATED", "ROLLED_BACK"):
        return ", once this job is terminated"
    stays = job["state"] != "ROLLED_BACK" and job["progress"]["rows_applied"]
    return ", once this job is rolled back" if stays else ""


def outcome(job: Json) -> str:
    """What came of the job, and what to do next."""
    if job["operation"] == "export":
        return _export_outcome(job)
    progress, job_id = job["progress"], job["id"]
    applied, failed = number(progress["rows_applied"]), number(progress["rows_failed"])
    because = f" ({job['reason']})" if job.get("reason") else ""
    dry_run = job.get("options", {}).get("dry_run", False)
    if timed := timer(job):
        return f"Job {job_id} is {job['state']}{because}: {applied} rows applied, {failed} refused; {timed}."
    match job["state"]:
        case "COMPLETED" | "COMPLETED_WITH_ERRORS" as state if dry_run and job.get("mode"):
            return (
                f"Dry run {job_id} is {state}: {_kinds(job)}, {failed} refused; nothing is written. "
                f"`sluice changes {job_id}` shows what would change."
            )
        case "COMPLETED" | "COMPLETED_WITH_ERRORS" as state if dry_run:
            return f"Dry run {job_id} is {state}: {applied} rows would be stored, {failed} refused; nothing is written."
        case "COMPLETED":
            return f"Job {job_id} is COMPLETED: {applied} rows applied{_details(job)}."
        case "COMPLETED_WITH_ERRORS":
            return (
                f"Job {job_id} is COMPLETED_WITH_ERRORS: {applied} rows applied{_details(job)}, {failed} refused; "
                f"`sluice errors {job_id}` shows them."
            )
        case "FAILED":
            return (
                f"Job {job_id} has FAILED{because}: {applied} rows applied; `sluice resume {job_id}` goes on from "
                f"there, `sluice rollback {job_id}` takes them out."
            )
        case "PAUSED":
            return (
                f"Job {job_id} is PAUSED{because}: {applied} rows applied, {failed} refused; `sluice resume {job_id}` "
                f"goes on, `sluice terminate {job_id}` stops it and takes the rows out."
            )
        case "TERMINATED":
            return f"Job {job_id} is TERMINATED{because}: its {applied} rows stay."
        case "ROLLED_BACK" if job.get("mode"):
            return f"Job {job_id} is ROLLED_BACK{because}: {_given_back(job)}"
        case "ROLLED_BACK":
            return f"Job {job_id} is ROLLED_BACK{because}: {number(progress['rows_rolled_back'])} rows taken out again."
        case "DRAFT":
            return f"Job {job_id} is a DRAFT: `sluice upload FILE --continue {job_id}` sends its file and starts it."
        case "QUEUED" if timed := timer(job):
            return f"Job {job_id} is QUEUED: {timed}."
        case "QUEUED":
            return f"Job {job_id} is QUEUED, waiting for {job.get('awaits') or 'the job before it'}."
        case state if job.get("awaits"):
            return f"Job {job_id} is {state}, waiting for {job['awaits']}."
        case state:
            return f"Job {job_id} is {state}."


def documents_line(job: Json) -> str | None:
    """What became of documents that the keys of rows name; None: keys do not reach further than the job."""
    if not job.get("mode"):
        return None
    text = f"mode {job['mode']}: {_kinds(job)}"
    return f"{text}; rolled back: {_given_back(job)}" if job["phase"] == "undo" else text


def _kinds(job: Json) -> str:
    """How many documents are of each kind, those of which there are none left out."""
    progress = job["progress"]
    counted = [(kind, progress[f"rows_{kind}"]) for kind in ("created", "updated", "unchanged", "deleted")]
    return ", ".join(f"{number(count)} {kind}" for kind, count in counted if count) or "0 changed"


def _details(job: Json) -> str:
    return f" ({_kinds(job)})" if job.get("mode") not in (None, "create") else ""


def _given_back(job: Json) -> str:
    progress, job_id = job["progress"], job["id"]
    text = f"{number(progress['rows_restored'])} documents are as before it"
    if progress["rows_kept"]:
        text += f", {number(progress['rows_kept'])} are left as others have changed them since"
    if progress["rows_not_restored"]:
        text += f", {number(progress['rows_not_restored'])} could not be restored"
    if progress["rows_kept"] or progress["rows_not_restored"]:
        text += f"; `sluice undone {job_id}` lists them"
    return f"{text}."


def _export_outcome(job: Json) -> str:
    job_id, rows = job["id"], number(job["progress"]["rows_applied"])
    because = f" ({job['reason']})" if job.get("reason") else ""
    if timed := timer(job):
        return f"Job {job_id} is {job['state']}{because}: {rows} rows exported; {timed}."
    match job["state"]:
        case "COMPLETED":
            return f"Job {job_id} is COMPLETED: {rows} rows exported."
        case "FAILED":
            return (
                f"Job {job_id} has FAILED{because}: there is no file; `sluice resume {job_id}` goes on from there, "
                f"`sluice rollback {job_id}` clears away what there is."
            )
        case "PAUSED":
            return (
                f"Job {job_id} is PAUSED{because}: {rows} rows exported; `sluice resume {job_id}` goes on, "
                f"`sluice terminate {job_id}` stops it."
            )
        case "ROLLED_BACK":
            return f"Job {job_id} is ROLLED_BACK{because}: nothing of the export is left."
        case state:
            return f"Job {job_id} is {state}."
