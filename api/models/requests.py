"""Bodies of requests that make jobs and change them, and estimates of exports."""

from __future__ import annotations

import msgspec

from schemas import bounds
from schemas.job import Options


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
