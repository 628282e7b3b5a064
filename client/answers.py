"""What REST answers with. Made by `python -m api.client_types`; not to be edited.

Times are ISO 8601 in UTC; a file's sizes are bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a job is to be run."""

    dry_run: bool = False
    max_errors: int | str | None = None
    """Row errors that are too many: a number, or a percentage such as "5%"; None: no limit."""
    rows_per_second: float | None = None
    """Rows applied per second, at most; None: no limit."""
    if_busy: str = "refuse"
    """One of refuse, queue."""
    if_same: str = "refuse"
    """What to do with a file that another job has applied for this organisation and dataset. One of refuse,
    allow.
    """
    raw: bool = False
    """Cells are taken and written as they are: no apostrophe before what a spreadsheet would take for a
    formula.
    """
    mapping: str | None = None
    """The name of a mapping that the organisation keeps: its columns, set and ignore_extra."""
    mode: str | None = None
    """What becomes of documents that the rows' keys name; null: the dataset's own mode. One of create, upsert,
    replace, update, delete.
    """
    empty: str = "keep"
    """What an empty cell does to a value of a document that exists, in the modes upsert and update. One of
    keep, clear.
    """
    columns: dict[str, str | None] = {}
    """Column of the file -> field; null: the column is passed over. Others are matched by their names."""
    set: dict[str, str] = {}
    """Field -> the text that it has in every row, as a file would have it; the file has no column for it then."""
    ignore_extra: bool = False
    """Columns of the file that are no field's are passed over."""
    encoding: str | None = None
    """The file's encoding, as Python calls it, such as cp1252; null: UTF-8, or what its byte order mark says."""
    delimiter: str | None = None
    """A character, or comma, semicolon, tab or pipe; null: the one of these four with which the header fits
    best.
    """
    skip_lines: int = 0
    """Lines in front of the header that are passed over."""
    comment: str | None = None
    """A character, or its name: lines in front of the header that begin with it are passed over."""
    quote: str | None = None
    """A character, or single, double or none; null: double. Within quotes a doubled one stands for one."""
    escape: str | None = None
    """A character, or backslash: a delimiter, quote or line end behind it is part of the value; null: none."""
    suspicions: str | None = None
    """What becomes of a file whose first rows look like an accident; null: it pauses the job before its first
    row is written where the organisation has 1,000 rows to compare with, and is noted elsewhere. One of
    pause, note, off.
    """
    notify: str | None = None
    """An address, or the name of a webhook of the organisation, that is told when the job stops: when it is
    over, has failed, or is paused.
    """


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is. Rows are those of its input; an unknown number is null."""

    rows_total: int | None = None
    rows_read: int
    rows_applied: int
    rows_failed: int
    rows_rolled_back: int
    rows_done: int
    """Rows that the job is done with: applied or failed; in a rollback taken out; of corrected rows, these
    alone.
    """
    rows_created: int
    """Applied rows that made new documents. The next three count the other applied rows; in a dry run all four
    say what would be.
    """
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
    rows_per_second: float | None = None
    eta_seconds: int | None = None


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One partition of a job."""

    partition: int
    applied_rows: int
    undone_rows: int
    parked_blocks: int
    last_offset: int
    error: str | None = None


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """How a file was written, as it was sent."""

    compression: str | None = None
    """``gzip`` or ``zip``; null: none."""
    encoding: str
    delimiter: str
    skip_lines: int
    comment: str | None = None
    stored_bytes: int | None = None
    """Bytes of the file that the readers read: UTF-8, not compressed; null: they read the file as it was sent."""
    stored_sha256: str | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job's rows come from. Size and SHA-256 are those of the file that was sent."""

    kind: str
    name: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    url: str | None = None
    """The address that it was fetched from, without a query."""
    lines: int | None = None
    columns: dict[str, str | None] | None = None
    """Column of the file -> field of the dataset, null for those passed over; null: each is named as its field
    is.
    """
    format: Format | None = None
    """null: it is UTF-8 with commas, and not compressed."""


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """An accident that the first rows of a file look like."""

    kind: str
    """``exchanged``: two columns have each other's values; ``shifted``: columns are moved by some places, or
    the values of one by some rows; ``unusual``: a column is unlike the organisation's own rows. One of
    exchanged, shifted, unusual.
    """
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
    columns_option: dict[str, str | None] | None = None
    """The option ``columns`` of a job that mends it; null: no mapping mends it."""
    command: str | None = None
    """The command line that makes a job of the stored file with this mapping."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job, as callers see it. Times are ISO 8601 in UTC."""

    id: str
    operation: str
    dataset: str
    organisation: str
    created_by: str
    state: str
    """One of DRAFT, QUEUED, RUNNING, PAUSING, PAUSED, TERMINATING, TERMINATED, COMPLETED,
    COMPLETED_WITH_ERRORS, FAILED, ROLLING_BACK, ROLLBACK_PAUSED, ROLLED_BACK.
    """
    ended: bool
    """The job has ended or failed: it does not go on by itself."""
    phase: str
    """One of apply, undo."""
    epoch: int
    mode: str | None = None
    """What the job does with documents that its rows' keys name; null: it has no keys, or they do not reach
    further than the job. One of create, upsert, replace, update, delete.
    """
    budget: str
    """How the row errors stand against `max_errors`. Probing: only the first rows are written, until they have
    been judged; spent: the job paused itself for its row errors; waived: someone then resumed it. One of
    probing, open, spent, waived.
    """
    reason: str | None = None
    options: Options
    progress: Progress
    lanes: list[Lane]
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    source: Source
    resume_at: str | None = None
    """While it is paused: when it goes on by itself."""
    start_at: str | None = None
    """While it is QUEUED: it does not start before this time."""
    state_since: str | None = None
    """When it came into its state; null: an older version of Sluice did not record it."""
    suspicion: Suspicion | None = None
    """null: a worker found nothing odd in the first rows, or did not look at them."""
    started_from: str | None = None
    """The dry run that this is the real job of."""
    retry: Source | None = None
    """The corrected rows that were sent last."""
    date_from: str | None = None
    date_till: str | None = None
    awaits: str | None = None
    """What a job waits for: a queued one another job; the storage that its file or its key lies on; or what the
    sender of rows by the inbox still has to send.
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

    jobs: list[Job]
    next: str | None = None
    """Pass it as `after` to get the page that follows; null: this is the last one."""


class FilePart(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the file of a draft has come."""

    job_id: str
    offset: int
    """Bytes that have come: the next part begins here."""
    bytes: int | None = None
    """How many the file has, if that was said."""
    expires_at: str
    """When the job ends by itself, unless it has been started."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """How large an export would be."""

    rows: int
    bytes: int
    """Bytes of its file, estimated from some of the rows."""
    largest_before: int | None = None
    """Rows of the largest export of this organisation and dataset that was completed; null: there is none."""
    needs_confirm: bool
    """Whether it is refused unless it says ``confirm: true``."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the command for one job."""

    id: str
    outcome: str
    """done: the job rests, or goes on; under_way: it is on its way there; refused: nothing has changed;
    unanswered: the command is on record, and no worker has taken it yet; left: it fits, and the command is
    not for its state, as it has not begun; concerned: of a preview. One of done, under_way, refused,
    unanswered, left, concerned.
    """
    state: str | None = None
    """One of DRAFT, QUEUED, RUNNING, PAUSING, PAUSED, TERMINATING, TERMINATED, COMPLETED,
    COMPLETED_WITH_ERRORS, FAILED, ROLLING_BACK, ROLLBACK_PAUSED, ROLLED_BACK.
    """
    message: str | None = None
    """Why it was refused, or what is waited for."""


class ManyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a command for many jobs."""

    action: str
    jobs: int
    """Jobs that it concerns: those it was sent for, or would be."""
    rows_applied: int
    """Rows that these jobs have written."""
    rows_left: int
    """Rows that they still have to deal with, as far as that is known."""
    done: int
    under_way: int
    refused: int
    unanswered: int
    left: int
    outcomes: list[Outcome]
    """A job each, those first that need a look; at most 1,000."""


class ColumnMapping(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping that an organisation keeps."""

    name: str
    organisation: str
    dataset: str
    columns: dict[str, str | None]
    set: dict[str, str]
    ignore_extra: bool
    updated_at: str
    updated_by: str


class MappingList(msgspec.Struct, frozen=True, kw_only=True):
    """Mappings of an organisation, by name."""

    mappings: list[ColumnMapping]


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a job, or a command that was refused."""

    type: str
    command_offset: int
    at: str
    event: str | None = None
    state: str | None = None
    """One of DRAFT, QUEUED, RUNNING, PAUSING, PAUSED, TERMINATING, TERMINATED, COMPLETED,
    COMPLETED_WITH_ERRORS, FAILED, ROLLING_BACK, ROLLBACK_PAUSED, ROLLED_BACK.
    """
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


class RowError(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was not applied, and why."""

    row: int
    line: int
    column: str | None = None
    value: str | None = None
    reason: str
    columns: list[str]
    values: list[str]
    at: str | None = None


class RowErrorPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a job's row errors, by row number."""

    job_id: str
    total: int
    errors: list[RowError]
    next: int | None = None
    """Pass it as `after` to get the page that follows; null: this is the last one."""


class PreviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row as it would be stored."""

    row: int
    document: dict[str, Any]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one row would do to the document that its key names."""

    row: int
    kind: str
    """One of new, updated, deleted."""
    key: list[str]
    """Values of the key's fields."""
    before: dict[str, Any]
    """Field -> value, of the fields that would change; of a new document none."""
    after: dict[str, Any]
    """The same after it; of a deleted document none."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a dry run would change, in a dataset whose key reaches the organisation."""

    new: int
    updated: int
    unchanged: int
    deleted: int
    conflicting: int
    """Rows that are refused since their key exists, in the organisation or in another row."""
    missing: int
    """Rows that are refused since their key names no document."""
    columns: dict[str, int]
    """Field -> how many documents would have another value in it."""
    first: list[Change]
    """The first changes, by row; all of them are at ``/changes`` and ``/changes.csv``."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a dry run has found: counts, the first row errors, and the first good rows as they would be stored."""

    job_id: str
    state: str
    """One of DRAFT, QUEUED, RUNNING, PAUSING, PAUSED, TERMINATING, TERMINATED, COMPLETED,
    COMPLETED_WITH_ERRORS, FAILED, ROLLING_BACK, ROLLBACK_PAUSED, ROLLED_BACK.
    """
    rows_total: int | None = None
    rows_valid: int
    rows_failed: int
    errors: list[RowError]
    rows: list[PreviewRow]
    changes: Changes | None = None
    """What would become of documents that exist; null: the dataset's key does not reach further than the job."""


class ChangePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of what a dry run would change, by row number."""

    job_id: str
    total: int
    changes: list[Change]
    next: int | None = None
    """Pass it as `after` to get the page that follows; null: this is the last one."""


class UndoneRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollback has done with a row."""

    row: int
    outcome: str
    """restored: its document is as before the job. kept: others have changed it since. failed: it could not be
    done. One of restored, kept, failed.
    """
    document: str | None = None
    """The document's id, where it is not restored."""
    reason: str | None = None
    job_id: str | None = None
    """The job that has changed the document since, if one has."""


class UndonePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of what a rollback has done, by row number."""

    job_id: str
    restored: int
    kept: int
    failed: int
    rows: list[UndoneRow]
    next: int | None = None
    """Pass it as `after` to get the page that follows; null: this is the last one."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a dataset."""

    name: str
    type: str
    format: str
    required: bool
    unique: bool
    pattern: str | None = None
    enum: list[Any]
    title: str
    description: str
    aliases: list[str]
    """What else a file may call the column; case, spaces, ``_`` and ``-`` do not count."""
    default: Any
    """The text of every row of a file without the column, or ``{"time": "upload"}``; null: a file must have it."""


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset: what its files must look like."""

    name: str
    title: str
    primary_key: list[str]
    key_scope: str
    """How far the key reaches: in ``organisation`` there is one document a key, which later jobs may change.
    One of job, organisation.
    """
    mode: str
    """The mode of jobs that name none. One of create, upsert, replace, update, delete."""
    modes: list[str]
    """The modes that a job may name. One of create, upsert, replace, update, delete."""
    date_field: str | None = None
    fields: list[Field]


class DatasetList(msgspec.Struct, frozen=True, kw_only=True):
    """Every dataset."""

    datasets: list[Dataset]


class PausedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that waits for somebody."""

    id: str
    organisation: str
    state: str
    """One of DRAFT, QUEUED, RUNNING, PAUSING, PAUSED, TERMINATING, TERMINATED, COMPLETED,
    COMPLETED_WITH_ERRORS, FAILED, ROLLING_BACK, ROLLBACK_PAUSED, ROLLED_BACK.
    """
    since: str
    reason: str | None = None


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on disk; null: not known now."""

    index_bytes: int | None = None
    """Bytes in Elasticsearch, with replicas."""
    file_bytes: int | None = None
    """Bytes in the storage folder: files that were sent, and exports unless they are in a bucket."""


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """Totals over the jobs that the caller may see, and the state of the installation. null: not known now."""

    jobs: int
    states: dict[str, int]
    rows_applied: int
    rows_failed: int
    rows_rolled_back: int
    rows_per_second: float
    partitions: int | None = None
    workers: int | None = None
    readers: int | None = None
    oldest_paused: PausedJob | None = None
    stored: Stored
    out_of_reach: list[str]
    """A sentence for each part that does not answer or does not run; empty: all parts do."""


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """How long a job took. Seconds; null: it has not started."""

    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    seconds: float | None = None
    """From its start to its end, or to now."""
    seconds_paused: float
    """The part of these seconds in which the job was paused, or had failed and waited for a resume."""
    rows_per_second: float | None = None
    """Rows dealt with in each of the other seconds."""


class FirstRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a group."""

    row: int
    line: int
    """The file's line, from 1; 0: there is no file."""
    value: str | None = None


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Row errors with the same column and reason."""

    column: str | None = None
    reason: str
    rows: int
    share: float
    """The share of the rows that the job has dealt with, from 0 to 1."""
    like: int
    """The first of its rows: ``errors?like=`` lists all that have the column and the reason of this one."""
    first: list[FirstRow]


class ErrorGroups(msgspec.Struct, frozen=True, kw_only=True):
    """A job's row errors by column and reason, the largest group first."""

    job_id: str
    total: int
    """Row errors."""
    rows_done: int
    """Rows that the job has dealt with: applied or refused."""
    groups: list[ErrorGroup]
    others: int
    """Row errors in groups that are left out, as there are too many."""


class JobReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of a job, by whom, and what came of it: all that a ticket needs."""

    job: Job
    """What was asked, by whom; the counts; the file with its SHA-256. Its lanes are left out."""
    ended: bool
    """false: the report is of a job that goes on, as it is now."""
    written_at: str
    times: Times
    errors: ErrorGroups | None = None
    """null: Elasticsearch does not answer, the job has no rows of its own (an export), or they were removed."""
    history: list[HistoryEntry]
    earlier: int = 0
    """Older records of the history, which are left out."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time: what was dealt with in it, and in all until its end."""

    at: str
    """Where it begins."""
    seconds: float
    """How much of it lies within the job's time."""
    rows_per_second: float
    """Rows applied, refused or taken out."""
    rows_done: int
    """Rows applied or refused until its end."""
    rows_undone: int
    """Rows taken out until its end."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to the job on its way."""

    at: str
    event: str
    """The name of the event, as in the history; ``WorkersChanged``: partitions went to other workers."""
    by: str | None = None
    reason: str | None = None


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A job's rows over time, from its progress records. What a worker had not reported when it died is in no
    point.
    """

    job_id: str
    since: str | None = None
    """null: the job has not started."""
    until: str | None = None
    interval_seconds: float
    rows_total: int | None = None
    points: list[Point]
    marks: list[Mark]


class KeyMade(msgspec.Struct, frozen=True, kw_only=True):
    """A new key, with its text: this answer alone has it."""

    id: str
    name: str
    kind: str
    """One of person, service."""
    organisations: list[str] | None = None
    """Null: all of them."""
    role: str
    """One of viewer, operator, admin."""
    created_at: str
    created_by: str
    expires_at: str | None = None
    last_used_at: str | None = None
    """Give or take an hour."""
    revoked_at: str | None = None
    revoked_by: str | None = None
    usable: bool
    """Neither revoked nor expired."""
    key: str


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key, without its text."""

    id: str
    name: str
    kind: str
    """One of person, service."""
    organisations: list[str] | None = None
    """Null: all of them."""
    role: str
    """One of viewer, operator, admin."""
    created_at: str
    created_by: str
    expires_at: str | None = None
    last_used_at: str | None = None
    """Give or take an hour."""
    revoked_at: str | None = None
    revoked_by: str | None = None
    usable: bool
    """Neither revoked nor expired."""


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that the caller may manage, newest first."""

    keys: list[Key]


class SecurityEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Who came in, was refused, or made or revoked a key."""

    at: str
    event: str
    by: str | None = None
    key_id: str | None = None
    organisations: list[str] | None = None
    address: str | None = None
    about: str | None = None
    why: str | None = None
    unlogged: int
    """Refusals before this one that were not recorded, since there were too many."""


class SecurityEventList(msgspec.Struct, frozen=True, kw_only=True):
    """The newest security events, newest first."""

    events: list[SecurityEvent]


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who the caller is."""

    name: str
    kind: str
    """One of person, service."""
    role: str
    """One of viewer, operator, admin."""
    organisations: list[str] | None = None
    """Null: all of them."""
    key_id: str | None = None
    expires_at: str | None = None


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook, and how it fares. Times are ISO 8601 in UTC."""

    id: str
    name: str
    organisation: str
    url: str | None = None
    """null: it is the one for addresses that jobs name."""
    states: list[str]
    """One of DRAFT, QUEUED, RUNNING, PAUSING, PAUSED, TERMINATING, TERMINATED, COMPLETED,
    COMPLETED_WITH_ERRORS, FAILED, ROLLING_BACK, ROLLBACK_PAUSED, ROLLED_BACK.
    """
    operations: list[str]
    events: list[str]
    """One of sluice.job.created, sluice.job.file_received, sluice.job.started, sluice.job.pausing,
    sluice.job.paused, sluice.job.resumed, sluice.job.terminating, sluice.job.terminated,
    sluice.job.completed, sluice.job.failed, sluice.job.retrying, sluice.job.rolling_back,
    sluice.job.rolled_back, sluice.job.purged.
    """
    created_at: str
    created_by: str
    condition: str
    """``unused``: nothing was tried yet; ``working`` and ``failing``: the last attempt was taken, or was not;
    ``off``: its receiver answered 410, and nothing is sent until a test has come through. One of unused,
    working, failing, off.
    """
    pending: int
    """Deliveries that wait, or are tried again."""
    failed: int
    """Deliveries that were given up and are kept, to be sent again."""
    delivered_at: str | None = None
    """When the receiver last took an event."""
    failing_since: str | None = None
    """When the oldest event came about that is not taken."""
    error: str | None = None
    """Why the last attempt failed; null: it did not fail."""


class WebhookList(msgspec.Struct, frozen=True, kw_only=True):
    """Webhooks, by organisation and name."""

    webhooks: list[Webhook]


class WebhookMade(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook with its secret, which no other answer has."""

    id: str
    name: str
    organisation: str
    url: str | None = None
    """null: it is the one for addresses that jobs name."""
    states: list[str]
    """One of DRAFT, QUEUED, RUNNING, PAUSING, PAUSED, TERMINATING, TERMINATED, COMPLETED,
    COMPLETED_WITH_ERRORS, FAILED, ROLLING_BACK, ROLLBACK_PAUSED, ROLLED_BACK.
    """
    operations: list[str]
    events: list[str]
    """One of sluice.job.created, sluice.job.file_received, sluice.job.started, sluice.job.pausing,
    sluice.job.paused, sluice.job.resumed, sluice.job.terminating, sluice.job.terminated,
    sluice.job.completed, sluice.job.failed, sluice.job.retrying, sluice.job.rolling_back,
    sluice.job.rolled_back, sluice.job.purged.
    """
    created_at: str
    created_by: str
    condition: str
    """``unused``: nothing was tried yet; ``working`` and ``failing``: the last attempt was taken, or was not;
    ``off``: its receiver answered 410, and nothing is sent until a test has come through. One of unused,
    working, failing, off.
    """
    pending: int
    """Deliveries that wait, or are tried again."""
    failed: int
    """Deliveries that were given up and are kept, to be sent again."""
    delivered_at: str | None = None
    """When the receiver last took an event."""
    failing_since: str | None = None
    """When the oldest event came about that is not taken."""
    error: str | None = None
    """Why the last attempt failed; null: it did not fail."""
    secret: str
    """``whsec_`` and base64, for the libraries of Standard Webhooks."""


class WebhookTest(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver made of a test."""

    event_id: str
    delivered: bool
    answer: int | None = None
    """The HTTP status; null: there was no answer."""
    error: str | None = None
    seconds: float


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way to a webhook."""

    event_id: str
    """The id that the receiver gets as ``webhook-id``."""
    type: str
    job_id: str
    url: str | None = None
    """The address that the job named; null: the delivery goes to the webhook's."""
    status: str
    """One of pending, delivered, failed."""
    attempts: int
    created_at: str
    """When the event came about."""
    tried_at: str | None = None
    next_at: str | None = None
    """When it is tried again; null: it is not."""
    given_up_at: str | None = None
    """While it is tried: when it will be given up."""
    answer: int | None = None
    """The HTTP status that the last attempt met; null: there was no answer."""
    error: str | None = None


class DeliveryList(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries, newest event first."""

    webhook_id: str
    total: int
    """Deliveries that Sluice keeps: all that wait, and the newest of the others."""
    deliveries: list[Delivery]


class Redelivered(msgspec.Struct, frozen=True, kw_only=True):
    """How many deliveries are sent again."""

    deliveries: int


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit."""

    name: str
    most: float
    """The limit itself; of bytes a second the least."""
    unit: str
    used: int | None = None
    """What counts against the limit now; null: the limit is for each single request, file or job."""
    setting: str
    """The environment variable that sets it."""
    status: int
    """HTTP's, of a refusal."""
    meaning: str
    advice: str
    """What to do about an exceeded limit."""


class LimitList(msgspec.Struct, frozen=True, kw_only=True):
    """What an organisation may use."""

    organisation: str
    weight: float
    """Its share of the workers: an organisation of weight 3 gets three times the rows of one of weight 1."""
    limits: list[Limit]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The process runs."""

    status: str = "ok"
    """One of ok."""


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the API can do its work. Elasticsearch is shown only: control works without it."""

    ready: bool
    caught_up: bool
    kafka: str
    elasticsearch: str
