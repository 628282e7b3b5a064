"""What is looked at before a job's first row is written, and what follows from what is found. Pure."""

from __future__ import annotations

from control.budget import probe_rows, watched
from schemas.ids import is_new
from schemas.job import Job, Options, Source
from schemas.messages.commands import CreateJob
from schemas.messages.formats import INSPECTION_FORMAT, WRITE_MODES
from schemas.suspicion import Suspicion

INSPECTED_ROWS = 1000
"""First rows of a file that an inspection looks at."""
OWN_ROWS = 1000
"""If an organisation has this many rows of the dataset, a suspicion pauses the job unless the job says otherwise."""


def to_inspect(command: CreateJob, at: int) -> bool:
    """Whether something is to be looked at before the first row of a job is written that is made at this time."""
    source, options = command.source, command.options
    return looks_at_rows(source, options) or looks_for_earlier(command.job_id, at)


def looks_at_rows(source: Source, options: Options) -> bool:
    """Whether the first rows are looked at. Those of a topic come in any order."""
    return source.kind == "file" and options.suspicions != "off"


def looks_for_earlier(job_id: str, created_at: int) -> bool:
    """Whether an earlier job with the id of this one may have left something, which the control table has forgotten.

    The new job's rows would count as written where the earlier one's are, and its rollback would take those out. The
    file of an earlier export would be taken for the new one's, and row errors of an earlier dry run too.
    """
    return not is_new(job_id, created_at)


def awaits_inspection(job: Job) -> bool:
    """Whether no row of the job has been written, nor may be, since what is to be looked at before has not been."""
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
