"""Job events (topic ``job-events``, key: job id): the audit trail of what happened, who asked for it, and why."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.bounds import HttpStatus, Offset, Partition, Rate, RowCount, Timestamp
from schemas.job import Input, Job, LaneTotals, RestedLane, Source, State
from schemas.policies.retention import StoreName
from schemas.suspicion import Suspicion


class Created(msgspec.Struct, frozen=True, tag=True):
    """The job exists; it waits for its turn."""

    job: Job


class FileReceived(msgspec.Struct, frozen=True, tag=True):
    """Its file is here; it waits for its turn."""

    source: Source


class Started(msgspec.Struct, frozen=True, tag=True):
    """Its readers and workers may begin."""


class PauseRequested(msgspec.Struct, frozen=True, tag=True):
    """Workers stop at the next block."""

    budget_spent: bool = False
    """The control agent pauses the job: it has too many row errors."""
    resume_at: Timestamp | None = None
    """When it goes on by itself."""
    suspected: bool = False
    """The control agent pauses the job: its first rows look like an accident."""


class Paused(msgspec.Struct, frozen=True, tag=True):
    """Every lane has proved that it stopped."""


class Resumed(msgspec.Struct, frozen=True, tag=True):
    """The job goes on from its checkpoint."""


class TerminationRequested(msgspec.Struct, frozen=True, tag=True):
    """Workers stop at the next block, for good."""

    keep_rows: bool
    force: bool = False
    """The rollback that follows also restores documents that others have changed since."""


class Terminated(msgspec.Struct, frozen=True, tag=True):
    """Every lane has stopped for good; the rows stay."""


class RetryStarted(msgspec.Struct, frozen=True, tag=True):
    """Corrected rows of this file are being applied, under the numbers they had."""

    source: Source


class RollbackStarted(msgspec.Struct, frozen=True, tag=True):
    """Its rows, up to `last_row`, are being taken out."""

    last_row: RowCount
    force: bool = False
    """The rollback also restores documents that others have changed since."""


class UndoFinished(msgspec.Struct, frozen=True, tag=True):
    """Every block of the rollback is done; a worker counts what is left."""

    totals: LaneTotals


class RollbackRepeated(msgspec.Struct, frozen=True, tag=True):
    """A worker has found rows after the rollback: another round takes them out."""

    remaining: RowCount
    last_row: RowCount


class RolledBack(msgspec.Struct, frozen=True, tag=True):
    """None of its rows are left."""

    rows_undone: RowCount = 0
    """Rows that went with the job's file."""


class PurgeBegun(msgspec.Struct, frozen=True, tag=True):
    """What holds values of the job is being removed."""


class Purged(msgspec.Struct, frozen=True, tag=True):
    """Nothing that holds values of the job is left, but the rows that it wrote and that were not taken out."""


class PurgeFailed(msgspec.Struct, frozen=True, tag=True):
    """Something can't be removed now; a purge that is asked for again goes on."""

    problem: str


class Expired(msgspec.Struct, frozen=True, tag=True):
    """What these stores had of the job is removed, as its retention is over."""

    stores: list[StoreName]


class RateSet(msgspec.Struct, frozen=True, tag=True):
    """The most rows a second are these now; None: no limit."""

    rows_per_second: Rate | None


class TimerSet(msgspec.Struct, frozen=True, tag=True):
    """The time at which it goes on by itself is another one."""

    at: Timestamp | None
    """None: there is none any more."""


class InputMoved(msgspec.Struct, frozen=True, tag=True):
    """The reader's checkpoint (not part of the audit trail)."""

    input: Input


class InputAnnounced(msgspec.Struct, frozen=True, tag=True):
    """The sender of the rows says how many there are; some may still be on their way."""

    rows: RowCount


class InputCompleted(msgspec.Struct, frozen=True, tag=True):
    """The reader has published everything."""

    input: Input


class LanesStopped(msgspec.Struct, frozen=True, tag=True):
    """These lanes have proved that they stopped (not part of the audit trail)."""

    lanes: dict[Partition, RestedLane]


class LanesTallied(msgspec.Struct, frozen=True, tag=True):
    """The counts of these lanes so far (not part of the audit trail)."""

    lanes: dict[Partition, LaneTotals]


class ProbePassed(msgspec.Struct, frozen=True, tag=True):
    """The first rows have no more errors than allowed: the others may be applied (not part of the audit trail)."""


class Inspected(msgspec.Struct, frozen=True, tag=True):
    """A worker has looked at the first rows, and found nothing (not part of the audit trail)."""


class Suspected(msgspec.Struct, frozen=True, tag=True):
    """The first rows look like an accident."""

    suspicion: Suspicion
    pauses: bool = False
    """The job pauses itself before a row is written."""


class LanesFinished(msgspec.Struct, frozen=True, tag=True):
    """These lanes have dealt with all their blocks (not part of the audit trail)."""

    lanes: dict[Partition, LaneTotals]


class FileBegun(msgspec.Struct, frozen=True, tag=True):
    """Every lane is done; a worker makes the job's file of the parts that they wrote."""

    totals: LaneTotals


class Completed(msgspec.Struct, frozen=True, tag=True):
    """Every lane is done."""

    totals: LaneTotals


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The job can't go on by itself."""

    reason: str | None = None
    """Where the control agent has found it; else the report says why."""


Event = (
    Created
    | FileReceived
    | Started
    | PauseRequested
    | Paused
    | Resumed
    | TerminationRequested
    | Terminated
    | RetryStarted
    | RollbackStarted
    | UndoFinished
    | RollbackRepeated
    | RolledBack
    | PurgeBegun
    | Purged
    | PurgeFailed
    | Expired
    | RateSet
    | TimerSet
    | InputMoved
    | InputAnnounced
    | InputCompleted
    | LanesStopped
    | LanesTallied
    | ProbePassed
    | Inspected
    | Suspected
    | LanesFinished
    | FileBegun
    | Completed
    | Failed
)

UNAUDITED = (InputMoved, LanesStopped, LanesTallied, ProbePassed, Inspected, LanesFinished)
"""Events that change the state and mean nothing to an operator: they stay out of the topic."""


class JobEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="event"):
    """What happened to a job. A repeat has the same `command_offset`."""

    job_id: str
    command_offset: Offset
    at: Timestamp
    """Milliseconds since 1970: the command record's timestamp."""
    event: str
    """The event's name, e.g. ``Paused``."""
    details: dict[str, Any] = {}
    state: State
    """The state after it."""
    by: str | None = None
    reason: str | None = None
    job: Job
    """The whole state after it: what the reports are rebuilt from."""


class CommandRejected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="rejected"):
    """A command that changed nothing, and why."""

    job_id: str
    command_offset: Offset
    at: Timestamp
    command: str
    """The command's name, or ``?`` for a record that could not be read."""
    code: HttpStatus
    """As an HTTP status: 400 malformed, 404 no such job, 409 not allowed now."""
    message: str
    details: dict[str, Any] = {}
    by: str | None = None
    reason: str | None = None
    """Why its sender asked for it."""


History = JobEvent | CommandRejected
