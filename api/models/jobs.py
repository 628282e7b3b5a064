"""Jobs as callers see them, their lists and their histories."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from schemas.descriptors.modes import Mode
from schemas.job import Options, Phase, State
from schemas.suspicion import SuspicionKind


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is. Rows are those of its input; an unknown number is null."""

    rows_total: int | None
    rows_read: int
    rows_applied: int
    rows_failed: int
    rows_rolled_back: int
    rows_done: int
    """Rows that the job is done with: applied or failed; in a rollback taken out; of corrected rows, these alone."""
    rows_created: int
    """Applied rows that made new documents. The next three count the other applied rows; in a dry run all four say what
    would be."""
    rows_updated: int
    rows_unchanged: int
    rows_deleted: int
    rows_conflicting: int
    """Failed rows whose key exists already. Counted where keys reach the organisation."""
    rows_missing: int
    """Failed rows whose key names no document."""
    rows_restored: int
    """Rows of a rollback whose document is as before the job. The next two count the other rows."""
    rows_kept: int
    """Rows whose document others have changed since: the rollback leaves it as it is."""
    rows_not_restored: int
    """Rows whose document the rollback could not restore."""
    percent: float
    rows_per_second: float | None
    eta_seconds: int | None


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One partition of a job."""

    partition: int
    applied_rows: int
    undone_rows: int
    parked_blocks: int
    last_offset: int
    error: str | None


class FormatView(msgspec.Struct, frozen=True, kw_only=True):
    """How a file was written, as it was sent."""

    compression: str | None
    """``gzip`` or ``zip``; null: none."""
    encoding: str
    delimiter: str
    skip_lines: int
    comment: str | None
    stored_bytes: int | None
    """Bytes of the file that the readers read: UTF-8, not compressed; null: they read the file as it was sent."""
    stored_sha256: str | None


class SourceView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job's rows come from. Size and SHA-256 are those of the file that was sent."""

    kind: str
    name: str | None
    bytes: int | None
    sha256: str | None
    url: str | None
    """The address that it was fetched from, without a query."""
    lines: int | None
    columns: dict[str, str | None] | None = None
    """Column of the file -> field of the dataset, null for those passed over; null: each is named as its field is."""
    format: FormatView | None = None
    """null: it is UTF-8 with commas, and not compressed."""


class SuspicionView(msgspec.Struct, frozen=True, kw_only=True):
    """An accident that the first rows of a file look like."""

    kind: SuspicionKind
    """``exchanged``: two columns have each other's values; ``shifted``: columns are moved by some places, or the values
    of one by some rows; ``unusual``: a column is unlike the organisation's own rows."""
    columns: list[str]
    """The fields in question."""
    by: int
    """Places, rows or years by which they are moved; 0: they are not moved."""
    fit: float
    """The share of the rows looked at that fit otherwise, 0 to 1."""
    rows: int
    """Rows looked at."""
    message: str
    refused: bool
    """The dataset's checks refuse such rows."""
    columns_option: dict[str, str | None] | None
    """The option ``columns`` of a job that mends it; null: no mapping mends it."""
    command: str | None
    """The command line that makes a job of the stored file with this mapping."""


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job, as callers see it. Times are ISO 8601 in UTC."""

    id: str
    operation: str
    dataset: str
    organisation: str
    created_by: str
    state: State
    ended: bool
    """The job has ended or failed: it does not go on by itself."""
    phase: Phase
    epoch: int
    mode: Mode | None
    """What the job does with documents that its rows' keys name; null: it has no keys, or they do not reach further
    than the job."""
    budget: Literal["probing", "open", "spent", "waived"]
    """How the row errors stand against `max_errors`. Probing: only the first rows are written, until they have been
    judged; spent: the job paused itself for its row errors; waived: someone then resumed it."""
    reason: str | None
    options: Options
    progress: Progress
    lanes: list[Lane]
    created_at: str
    started_at: str | None
    ended_at: str | None
    source: SourceView
    resume_at: str | None = None
    """While it is paused: when it goes on by itself."""
    start_at: str | None = None
    """While it is QUEUED: it does not start before this time."""
    state_since: str | None = None
    """When it came into its state; null: an older version of Sluice did not record it."""
    suspicion: SuspicionView | None = None
    """null: a worker found nothing odd in the first rows, or did not look at them."""
    started_from: str | None = None
    """The dry run that this is the real job of."""
    retry: SourceView | None = None
    """The corrected rows that were sent last."""
    date_from: str | None = None
    date_till: str | None = None
    awaits: str | None = None
    """What a job waits for: a queued one another job; the storage that its file or its key lies on; or what the sender
    of rows by the inbox still has to send.
    """
    purging: bool = False
    """A purge is removing everything that holds values of the job."""
    purged_at: str | None = None
    """When the last purge ended; the rows that the job wrote stay."""
    purge_problem: str | None = None
    """What kept the last purge from its end; ask for another purge to go on."""
    expired: dict[str, str] = {}
    """Store -> when the job's data was removed from it, as its retention was over."""
    waiting_for: str | None = None
    """What the job still waits for when ``?wait=`` has run out."""


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some jobs, newest first."""

    jobs: list[JobView]
    next: str | None
    """Pass it as `after` to get the page that follows; null: this is the last one."""


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a job, or a command that was refused."""

    type: str
    command_offset: int
    at: str
    event: str | None = None
    state: State | None = None
    by: str | None = None
    reason: str | None = None
    details: dict[str, Any] = {}
    command: str | None = None
    code: int | None = None
    message: str | None = None


class HistoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """A job's audit trail, newest last."""

    job_id: str
    history: list[HistoryEntry]
    earlier: int = 0
    """Older records, which are left out; they are in the topic."""


class FilePart(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the file of a draft has come."""

    job_id: str
    offset: int
    """Bytes that have come: the next part begins here."""
    bytes: int | None
    """How many the file has, if that was said."""
    expires_at: str
    """When the job ends by itself, unless it has been started."""
