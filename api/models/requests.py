"""Bodies of requests that make jobs and change them, and estimates of exports."""

from __future__ import annotations

import msgspec

from schemas import bounds
from schemas.job import Options


class ActionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of pause, resume, terminate, rollback and purge; it may be left out."""

    reason: bounds.Reason | None = None
    resume_at: bounds.When | None = None
    """For pause only: when the job goes on by itself."""
    keep_rows: bool = False
    """For terminate only: leave the rows that are written."""
    force: bool = False
    """For rollback only: also restore documents that others have changed since."""
    partial: bool = False
    """For rollback only: also if some before-images are not kept any more."""


class InputEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many rows a job has whose rows come by the inbox."""

    rows: bounds.AnnouncedRows


class Start(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of start; it may be left out."""

    options: Options | None = None
    """The options of the real job; null: those of the dry run. A draft has its own options."""
    reason: bounds.Reason | None = None
    start_at: bounds.When | None = None
    """The job does not start before this time. Of a draft: in place of the time that it was made with."""
    sha256: bounds.Digest | None = None
    """For a draft: the SHA-256 that its file must have."""


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
    """With `upload`: the size of the file."""


class JobRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new job is to do."""

    operation: bounds.Name | None = None
    """May be left out if the job reads another job's file again."""
    dataset: bounds.Name | None = None
    organisation: bounds.Name | None = None
    """None: the organisation of the job whose file is read again; else the caller's own if it has just one; else
    ``default``."""
    file: bounds.FilePath | None = None
    """A path on the server, in one of its import folders; not for a file that is sent along."""
    source: bounds.Name | Elsewhere | None = None
    """``topic``: the rows come as records on the inbox topic. ``upload``: the file comes in parts."""
    date_from: bounds.Day | None = msgspec.field(name="from", default=None)
    date_till: bounds.Day | None = msgspec.field(name="till", default=None)
    options: Options = Options()
    reason: bounds.Reason | None = None
    start_at: bounds.When | None = None
    """The job does not start before this time; after it, as soon as no other job is in its way."""
    confirm: bool = False
    """Confirms an export that is ten times larger than any before of its organisation and dataset."""


class EstimateRequest(JobRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The export to estimate."""

    operation: bounds.Name = "export"


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """How large an export would be."""

    rows: int
    bytes: int
    """Bytes of its file, estimated from some of the rows."""
    largest_before: int | None
    """Rows of the largest export of this organisation and dataset that was completed; null: there is none."""
    needs_confirm: bool
    """Whether it is refused unless it says ``confirm: true``."""
