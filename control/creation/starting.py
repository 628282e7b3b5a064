"""From a dry run to the real job: the same rows, from the same source. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from control.errors import Rejected
from control.predicates import understood
from runtime.text.formatting import iso_time
from schemas.job import FILE_OPTIONS, MODE_OPTIONS, Job, Options, State
from schemas.messages.commands import CreateJob, StartJob

STARTABLE = (State.COMPLETED, State.COMPLETED_WITH_ERRORS)
"""States in which a dry run can be turned into the real job."""


def real_job(command: StartJob, dry_run: Job | None) -> CreateJob | Rejected:
    """The creation that a start stands for, or its refusal."""
    if dry_run is None:
        return Rejected(404, f"there is no job {command.dry_run}; `sluice jobs` lists them")
    if not understood(dry_run):
        return Rejected(
            409, f"a newer version of Sluice has written dry run {dry_run.id}: end the rollout, and ask again"
        )
    if not dry_run.options.dry_run:
        return Rejected(
            409,
            f"job {dry_run.id} is no dry run: it is the real job itself, and {dry_run.state}; start is for dry runs",
            {"state": dry_run.state},
        )
    if dry_run.state not in STARTABLE:
        return Rejected(
            409,
            f"dry run {dry_run.id} is {dry_run.state}: start is possible when it is {' or '.join(STARTABLE)}",
            {"state": dry_run.state, "allowed": list(STARTABLE)},
        )
    if dry_run.source.kind != "file":
        return Rejected(
            409,
            f"the rows of dry run {dry_run.id} came by the inbox and are in no file: make a job, and send them again",
        )
    if (gone := dry_run.lacks("uploaded_files")) is not None or dry_run.purging:
        when = f"on {iso_time(gone)}" if gone is not None else "by a purge"
        return Rejected(409, f"the file of dry run {dry_run.id} was removed {when}: upload it again")
    return CreateJob(
        job_id=command.job_id,
        by=command.by,
        reason=command.reason,
        operation=dry_run.operation,
        dataset=dry_run.dataset,
        organisation=dry_run.organisation,
        source=dry_run.source,
        options=_options(command.options or dry_run.options, dry_run.options),
        date_from=dry_run.date_from,
        date_till=dry_run.date_till,
        start_at=command.start_at,
    )


def _options(options: Options, tried: Options) -> Options:
    """How the file is written, which columns are which, what is set, and the mode are as they were tried."""
    return replace(options, dry_run=False, **{name: getattr(tried, name) for name in (*FILE_OPTIONS, *MODE_OPTIONS)})
