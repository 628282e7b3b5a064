"""What the API answers with, as structs: the JSON of REST, and the source of its OpenAPI schemas."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schemas import bounds
from schemas.descriptors.modes import KeyScope, Mode
from schemas.job import Options, Phase, State
from schemas.policies.principals import PrincipalKind, Role
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
    """Of the rows applied: new documents. The next three are the others; in a dry run all four say what would be."""
    rows_updated: int
    rows_unchanged: int
    rows_deleted: int
    rows_conflicting: int
    """Of the failed rows: their key exists already. Counted where keys reach the organisation."""
    rows_missing: int
    """Of the failed rows: their key names no document."""
    rows_restored: int
    """Of a rollback: rows whose document is as before the job. The next two are the others."""
    rows_kept: int
    """Others have changed the document since, so it is left as it is."""
    rows_not_restored: int
    """It could not be done."""
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
    """Of what was made of it, which the readers read: UTF-8, not compressed; null: the file is read as it was sent."""
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
    """Nothing more happens by itself: it has ended, or failed."""
    phase: Phase
    epoch: int
    mode: Mode | None
    """What it does with documents that its rows' keys name; null: keys do not reach further than the job, if it has
    any."""
    budget: Literal["probing", "open", "spent", "waived"]
    """Of row errors. Probing: only the first rows, until they have been judged; spent: the job paused itself for them;
    waived: someone then resumed it."""
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
    """Of a job whose rows come by the inbox: what its sender still has to send."""
    purging: bool = False
    """All that holds its values is being removed."""
    purged_at: str | None = None
    """When nothing of that was left; the rows that it wrote stay."""
    purge_problem: str | None = None
    """What kept the last purge from its end; one that is asked for again goes on."""
    expired: dict[str, str] = {}
    """Store -> when what it had of the job was removed, as its retention was over."""
    waiting_for: str | None = None
    """After ``?wait=`` ran out: what has not answered yet."""


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


class RowErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was not applied, and why."""

    row: int
    line: int
    column: str | None
    value: str | None
    reason: str
    columns: list[str]
    values: list[str]
    at: str | None


class RowErrorPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a job's row errors, by row number."""

    job_id: str
    total: int
    errors: list[RowErrorView]
    next: int | None
    """Pass it as `after` to get the page that follows; null: this is the last one."""


class FieldView(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a dataset."""

    name: str
    type: str
    format: str
    required: bool
    unique: bool
    pattern: str | None
    enum: list[Any]
    title: str
    description: str
    aliases: list[str]
    """What else a file may call the column; case, spaces, ``_`` and ``-`` do not count."""
    default: Any
    """The text of every row of a file without the column, or ``{"time": "upload"}``; null: a file must have it."""


class LimitView(msgspec.Struct, frozen=True, kw_only=True):
    """One limit."""

    name: str
    most: float
    """The limit itself; of bytes a second the least."""
    unit: str
    used: int | None
    """What counts against it now; null: it is one of each request, file or job."""
    setting: str
    """The environment variable that sets it."""
    status: int
    """HTTP's, of a refusal."""
    meaning: str
    advice: str
    """What to do where it is exceeded."""


class LimitList(msgspec.Struct, frozen=True, kw_only=True):
    """What an organisation may use."""

    organisation: str
    weight: float
    """Its share of the workers: an organisation of weight 3 gets three times the rows of one of weight 1."""
    limits: list[LimitView]


class DatasetView(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset: what its files must look like."""

    name: str
    title: str
    primary_key: list[str]
    key_scope: KeyScope
    """How far the key reaches: in ``organisation`` there is one document a key, which later jobs may change."""
    mode: Mode
    """Of jobs that name none."""
    modes: list[Mode]
    """Those that a job may name."""
    date_field: str | None
    fields: list[FieldView]


class DatasetList(msgspec.Struct, frozen=True, kw_only=True):
    """Every dataset."""

    datasets: list[DatasetView]


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Totals over the jobs that the caller may see."""

    jobs: int
    states: dict[str, int]
    rows_applied: int
    rows_failed: int
    rows_rolled_back: int
    rows_per_second: float


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the API can do its work. Elasticsearch is shown only: control works without it."""

    ready: bool
    caught_up: bool
    kafka: str
    elasticsearch: str


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was refused, and what to do."""

    code: int
    status: str
    message: str
    details: dict[str, Any]


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """Every refusal has this shape."""

    error: ErrorDetail


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of pause, resume, terminate and rollback; it may be left out."""

    reason: bounds.Reason | None = None
    resume_at: bounds.When | None = None
    """Of pause only: when the job goes on by itself."""
    keep_rows: bool = False
    """Of terminate only: leave the rows that are written."""
    force: bool = False
    """Of rollback only: give back also what others have changed since."""
    partial: bool = False
    """Of rollback only: also where some of what the job wrote over is not kept any more."""


class InputEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many rows a job has whose rows come by the inbox."""

    rows: bounds.AnnouncedRows


class Start(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of start; it may be left out."""

    options: Options | None = None
    """Of the real job; null: those of the dry run. A draft has its own."""
    sha256: bounds.Digest | None = None
    """Of a draft: what its file has to have."""
    reason: bounds.Reason | None = None
    start_at: bounds.When | None = None
    """It does not start before this time."""


class PreviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row as it would be stored."""

    row: int
    document: dict[str, Any]


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """What one row would do to the document that its key names."""

    row: int
    kind: Literal["new", "updated", "deleted"]
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
    first: list[ChangeView]
    """The first changes, by row; all of them are at ``/changes`` and ``/changes.csv``."""


class ChangePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of what a dry run would change, by row number."""

    job_id: str
    total: int
    changes: list[ChangeView]
    next: int | None
    """Pass it as `after` to get the page that follows; null: this is the last one."""


class UndoneRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollback has done with a row."""

    row: int
    outcome: Literal["restored", "kept", "failed"]
    """restored: its document is as before the job. kept: others have changed it since. failed: it could not be done."""
    document: str | None
    """The document's id, where it is not restored."""
    reason: str | None
    job_id: str | None
    """The job that has changed the document since, if one has."""


class UndonePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of what a rollback has done, by row number."""

    job_id: str
    restored: int
    kept: int
    failed: int
    rows: list[UndoneRow]
    next: int | None
    """Pass it as `after` to get the page that follows; null: this is the last one."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a dry run has found: counts, the first row errors, and the first good rows as they would be stored."""

    job_id: str
    state: State
    rows_total: int | None
    rows_valid: int
    rows_failed: int
    errors: list[RowErrorView]
    rows: list[PreviewRow]
    changes: Changes | None = None
    """What would become of documents that exist; null: the dataset's key does not reach further than the job."""


class FilePart(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the file of a draft has come."""

    job_id: str
    offset: int
    """Bytes that have come: the next part begins here."""
    bytes: int | None
    """How many the file has, if that was said."""
    expires_at: str
    """When the job ends by itself, unless it has been started."""


class MappingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which column of a file is which, as the options of a job say it."""

    dataset: bounds.Name
    columns: dict[str, str | None] = {}
    set: dict[str, str] = {}
    ignore_extra: bool = False


class MappingView(msgspec.Struct, frozen=True, kw_only=True):
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

    mappings: list[MappingView]


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most rows a second that a job applies; null: no limit."""

    rows_per_second: bounds.Rate | None
    reason: bounds.Reason | None = None


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source of a new job's rows that is not sent along."""

    job: bounds.JobId | None = None
    """The stored file of another job, with its operation, dataset, organisation and options, but for those that are
    given. ``dry_run``, ``if_busy`` and ``if_same`` are not taken over."""
    url: bounds.FilePath | None = None
    """The address of a file, ``s3://bucket/key`` or ``https://...``, where the server's settings allow it."""
    upload: bounds.FilePath | None = None
    """The name of a file that comes in parts: the job is DRAFT until it has come, and is started."""
    bytes: bounds.ByteCount | None = None
    """With `upload`: how many it has."""


class JobRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new job is to do."""

    operation: bounds.Name | None = None
    """It may be left out where another job's file is read again."""
    dataset: bounds.Name | None = None
    organisation: bounds.Name | None = None
    """None: that of the job whose file is read again; else the caller's own where it has just one; else ``default``."""
    file: bounds.FilePath | None = None
    """A path on the server, in one of its import folders; not for a file that is sent along."""
    source: bounds.Name | Elsewhere | None = None
    """``topic``: the rows come as records on the inbox topic. ``upload``: the file comes in parts."""
    date_from: bounds.Day | None = msgspec.field(name="from", default=None)
    date_till: bounds.Day | None = msgspec.field(name="till", default=None)
    options: Options = Options()
    reason: bounds.Reason | None = None
    start_at: bounds.When | None = None
    """It does not start before this time, and then as soon as no other job is in its way."""
    confirm: bool = False
    """Of an export: it is meant, although it is ten times larger than any before of its organisation and dataset."""


class EstimateRequest(JobRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an export would be of."""

    operation: bounds.Name = "export"


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """How large an export would be."""

    rows: int
    bytes: int
    """Of its file, from some of the rows."""
    largest_before: int | None
    """Rows of the largest export of this organisation and dataset that was completed; null: there is none."""
    needs_confirm: bool
    """Whether it is refused unless it says ``confirm: true``."""


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new key is to be."""

    name: bounds.Name
    """The principal's, as the history of jobs is to show it."""
    role: Role
    kind: PrincipalKind = "person"
    organisation: bounds.Name | None = None
    """The one it is for; or `organisations`, or `all_organisations`."""
    organisations: Annotated[list[bounds.Name], Meta(max_length=100)] | None = None
    all_organisations: bool = False
    expires: float | None = None
    """Days until it expires; null: it does not."""


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key, without its text."""

    id: str
    name: str
    kind: PrincipalKind
    organisations: list[str] | None
    """Null: all of them."""
    role: Role
    created_at: str
    created_by: str
    expires_at: str | None
    last_used_at: str | None
    """Give or take an hour."""
    revoked_at: str | None
    revoked_by: str | None
    usable: bool
    """Neither revoked nor expired."""


class KeyMade(KeyView, frozen=True, kw_only=True):
    """A new key, with its text: this answer alone has it."""

    key: str


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that the caller may manage, newest first."""

    keys: list[KeyView]


class SecurityEventView(msgspec.Struct, frozen=True, kw_only=True):
    """Who came in, was refused, or made or revoked a key."""

    at: str
    event: str
    by: str | None
    key_id: str | None
    organisations: list[str] | None
    address: str | None
    about: str | None
    why: str | None
    unlogged: int
    """Refusals before this one that were not recorded, since there were too many."""


class SecurityEventList(msgspec.Struct, frozen=True, kw_only=True):
    """The newest security events, newest first."""

    events: list[SecurityEventView]


class PrincipalView(msgspec.Struct, frozen=True, kw_only=True):
    """Who the caller is."""

    name: str
    kind: PrincipalKind
    role: Role
    organisations: list[str] | None
    """Null: all of them."""
    key_id: str | None
    expires_at: str | None
