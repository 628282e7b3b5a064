"""Commands (topic ``commands``, key: job id): requests of people and services, and reports of readers and workers.

Readers and workers write their reports to the topic ``reports``; the control agent copies each into ``commands``.
"""

from __future__ import annotations

import msgspec

from schemas.bounds import (
    AnnouncedRows,
    Counter,
    Day,
    JobId,
    Name,
    Partition,
    Rate,
    Reason,
    RowCount,
    Timestamp,
)
from schemas.job import Input, LaneTotals, Options, Phase, RestedLane, Source
from schemas.policies.retention import StoreName
from schemas.suspicion import Suspicion


class _Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    job_id: JobId


class _Request(_Command, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A request of a person or a service. Only a report may have unknown fields: a newer process may send it."""

    by: Name = "unknown"
    """Who asks: a user or a service."""
    reason: Reason | None = None
    """Why, in the asker's words."""


class CreateJob(_Request, frozen=True, kw_only=True, omit_defaults=True):
    """Make a job, and start it as soon as its exclusive key is free."""

    operation: Name
    dataset: Name
    organisation: Name = "default"
    source: Source = Source(kind="topic")
    options: Options = Options()
    date_from: Day | None = None
    date_till: Day | None = None
    draft: bool = False
    """Its file is still to come: `StartDraft` names it."""
    start_at: Timestamp | None = None
    """Start it at this time, in milliseconds since 1970, or as soon after it as its exclusive key is free."""


class StartDraft(_Request, frozen=True, kw_only=True, omit_defaults=True):
    """Start a job whose file has come."""

    source: Source
    start_at: Timestamp | None = None
    """As in `CreateJob`; None: the time that the job was made with, if it has one."""


class StartJob(_Request, frozen=True, kw_only=True, omit_defaults=True):
    """Make the real job of a dry run: the same rows from the same source. `job_id` is the new job's."""

    dry_run: JobId
    """The dry run's id."""
    options: Options | None = None
    """None: those of the dry run."""
    start_at: Timestamp | None = None
    """As in `CreateJob`."""


class PauseJob(_Request, frozen=True, kw_only=True, omit_defaults=True):
    """Stop writing, keep everything, go on later. Sent again it sets the time to go on, or cancels it."""

    resume_at: Timestamp | None = None
    """Go on at this time, in milliseconds since 1970; None: when somebody resumes it."""


class ResumeJob(_Request, frozen=True, kw_only=True, omit_defaults=True):
    """Go on from the checkpoint."""


class TerminateJob(_Request, frozen=True, kw_only=True, omit_defaults=True):
    """Stop for good; the rows that were written are taken out again unless `keep_rows`."""

    keep_rows: bool = False


class RollbackJob(_Request, frozen=True, kw_only=True, omit_defaults=True):
    """Take out the rows that the job wrote, and give back what it wrote over."""

    force: bool = False
    """Documents that others have changed since as well."""


class RetryErrors(_Request, frozen=True, kw_only=True, omit_defaults=True):
    """Apply corrected rows to a job that has row errors, each under the number it had: the column ``sluice_row``."""

    source: Source
    errors_of_run: Counter = 0
    """The run of the job when the rows were compared with its row errors; a newer run may have corrected some."""


class PurgeJob(_Request, frozen=True, kw_only=True, omit_defaults=True):
    """Remove for good all that holds values of a job that is over. Its history stays, and the rows that it wrote."""


class SetRate(_Request, frozen=True, kw_only=True, omit_defaults=True):
    """Change the most rows a second; None takes the limit away."""

    rows_per_second: Rate | None = None


class InputAdvanced(_Command, frozen=True, kw_only=True, omit_defaults=True):
    """Report of a reader: how far it has published. Cumulative; an older one changes nothing."""

    phase: Phase = "apply"
    run: Counter = 0
    input: Input


class InputEnded(_Command, frozen=True, kw_only=True, omit_defaults=True):
    """Report of a reader: everything is published, with the number of blocks on each partition.

    A service that sends its rows to the inbox gives `rows` only: the number of rows of the job. The reader of the inbox
    then reports the blocks, as soon as rows 1 to `rows` have all come.
    """

    phase: Phase = "apply"
    run: Counter = 0
    input: Input | None = None
    rows: AnnouncedRows | None = None
    by: Name | None = None
    """With `rows`: who announces them."""


class InputFailed(_Command, frozen=True, kw_only=True, omit_defaults=True):
    """Report of a reader: the source can't be read to its end, and why."""

    phase: Phase = "apply"
    run: Counter = 0
    epoch: Counter | None = None
    """The job's epoch in which it failed; None: a reader of an older version does not say."""
    reason: str


class LanesRested(_Command, frozen=True, kw_only=True, omit_defaults=True):
    """Report of a worker: on these partitions nothing of the job is in flight, and nothing will be, in this epoch."""

    phase: Phase = "apply"
    run: Counter = 0
    epoch: Counter
    lanes: dict[Partition, RestedLane]


class LanesDone(_Command, frozen=True, kw_only=True, omit_defaults=True):
    """Report of a worker: these lanes have dealt with every block the reader reported, with their totals."""

    phase: Phase = "apply"
    run: Counter = 0
    lanes: dict[Partition, LaneTotals]


class WorkFailed(_Command, frozen=True, kw_only=True, omit_defaults=True):
    """Report of a worker: the job can't go on (its parked blocks are gone, its operation is unknown, ...)."""

    phase: Phase = "apply"
    run: Counter = 0
    epoch: Counter | None = None
    """The job's epoch in which it failed; None: a worker of an older version does not say."""
    reason: str


class LanesCounted(_Command, frozen=True, kw_only=True, omit_defaults=True):
    """Report of a worker, for a job with `max_errors`: the counts of these lanes so far. Cumulative."""

    lanes: dict[Partition, LaneTotals]


class RowsInspected(_Command, frozen=True, kw_only=True, omit_defaults=True):
    """Report of a worker, before the first row of a job is written: what the first rows look like."""

    epoch: Counter
    suspicion: Suspicion | None = None
    own_rows: RowCount = 0
    """Rows of the organisation that there were to compare with, counted up to 1,000."""


class UndoChecked(_Command, frozen=True, kw_only=True, omit_defaults=True):
    """Report of a worker: how many of the job's rows it has found after the rollback."""

    epoch: Counter
    remaining: RowCount
    last_row: RowCount = 0
    """The highest row number among them."""
    rows_undone: RowCount = 0
    """Rows that were removed with the job's file, rather than one by one."""


class TimerDue(_Command, frozen=True, kw_only=True, omit_defaults=True):
    """Report of the worker that owns the commands: the time has come at which a job is to start or to go on."""

    due_at: Timestamp
    """The time that the job's state has; another one is void."""
    by: Name = "timer"


class FileFinished(_Command, frozen=True, kw_only=True, omit_defaults=True):
    """Report of a worker: the job's file is there, complete."""

    epoch: Counter


class PurgeEnded(_Command, frozen=True, kw_only=True, omit_defaults=True):
    """Report of a worker: nothing that holds values of the job is left, or what keeps it from removing the rest."""

    epoch: Counter
    problem: str | None = None


class StoresEmptied(_Command, frozen=True, kw_only=True, omit_defaults=True):
    """Report of a worker: what these stores had of the job is removed, since its retention is over."""

    epoch: Counter | None = None
    """The job's epoch until which they are empty; None: a worker of an older version does not say."""
    stores: list[StoreName]


class NoOldReports(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=True):
    """The first record of the topic ``reports`` in an installation whose reports have always been written there."""


Request = (
    CreateJob
    | StartDraft
    | StartJob
    | PauseJob
    | ResumeJob
    | TerminateJob
    | RollbackJob
    | RetryErrors
    | PurgeJob
    | SetRate
)
Report = (
    InputAdvanced
    | InputEnded
    | InputFailed
    | LanesRested
    | LanesDone
    | WorkFailed
    | LanesCounted
    | RowsInspected
    | FileFinished
    | UndoChecked
    | PurgeEnded
    | StoresEmptied
)
Command = Request | Report | TimerDue
