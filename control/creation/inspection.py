"""Whether a job's first rows are looked at before one is written, and what follows from what they look like. Pure."""

from __future__ import annotations

from control.budget import probe_rows, watched
from schemas.job import Job
from schemas.messages.commands import CreateJob
from schemas.messages.formats import INSPECTION_FORMAT, WRITE_MODES
from schemas.suspicion import Suspicion

INSPECTED_ROWS = 1000
"""First rows of a file that an inspection looks at."""
OWN_ROWS = 1000
"""If an organisation has this many rows of the dataset, a suspicion pauses the job unless the job says otherwise."""


def to_inspect(command: CreateJob) -> bool:
    """Whether the first rows of the new job are to be looked at. Rows of a topic come in any order, so none wait."""
    return command.source.kind == "file" and command.options.suspicions != "off"


def awaits_inspection(job: Job) -> bool:
    """Whether no row of the job may be written yet, since its first rows have not been looked at."""
    return job.inspection == "due" and job.phase == "apply" and job.run == 0


def looked_at(job: Job) -> int:
    """What the job `needs` of a process once its first rows have been looked at: older ones may go on with it."""
    if job.needs != INSPECTION_FORMAT:
        return job.needs
    return 0 if job.mode is None else WRITE_MODES


def rows_within(job: Job) -> int | None:
    """Only blocks that begin within this many rows may be applied now; 0: no block; None: all blocks."""
    return 0 if awaits_inspection(job) else probe_rows(job)


def pauses(job: Job, suspicion: Suspicion, own_rows: int) -> bool:
    """Whether the job rests for this suspicion before its first row is written."""
    if job.options.dry_run:
        return False  # it writes nothing
    if suspicion.refused:
        # The probe of max_errors pauses such a job; and of rows that are refused anyway none is stored wrongly.
        return job.options.suspicions == "pause" and not watched(job)
    if job.options.suspicions is None:
        return own_rows >= OWN_ROWS
    return job.options.suspicions == "pause"


def pause_reason(job: Job) -> str | None:
    """Why the job has paused itself for a suspicion, in words."""
    if job.suspicion is None:
        return None
    return (
        f"{job.suspicion.message}. No row is written yet: resume to go on all the same, or terminate and send the file "
        f"again as it should be"
    )


def explained(job: Job, reason: str | None) -> str | None:
    """The reason of a job that paused for its row errors, with what explains them in front."""
    if job.suspicion is None or not job.suspicion.refused or reason is None:
        return reason
    return f"{job.suspicion.message}. {reason}"
