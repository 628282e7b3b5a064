"""What the routes of this folder answer with, as structs."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from api.models.installation import Stats
from api.models.jobs import HistoryEntry, JobView
from schemas import bounds
from schemas.job import State

MOST_NAMED: Final = 1000
"""Jobs that one request may name."""


class FirstRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a group."""

    row: int
    line: int
    """The file's line, from 1; 0: there is no file."""
    value: str | None


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Row errors with the same column and reason."""

    column: str | None
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
    """A job's rows over time, from its progress records. What a worker had not reported when it died is in no point."""

    job_id: str
    since: str | None
    """null: the job has not started."""
    until: str | None
    interval_seconds: float
    rows_total: int | None
    points: list[Point]
    marks: list[Mark]


class PausedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that waits for somebody."""

    id: str
    organisation: str
    state: State
    since: str
    reason: str | None


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on disk; null: not known now."""

    index_bytes: int | None
    """Bytes in Elasticsearch, with replicas."""
    file_bytes: int | None
    """Bytes in the storage folder: files that were sent, and exports unless they are in a bucket."""


class Installation(Stats, frozen=True, kw_only=True):
    """Totals over the jobs that the caller may see, and the state of the installation. null: not known now."""

    partitions: int | None
    workers: int | None
    readers: int | None
    oldest_paused: PausedJob | None
    stored: Stored
    out_of_reach: list[str]
    """A sentence for each part that does not answer or does not run; empty: all parts do."""


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """How long a job took. Seconds; null: it has not started."""

    created_at: str
    started_at: str | None
    ended_at: str | None
    seconds: float | None
    """From its start to its end, or to now."""
    seconds_paused: float
    """The part of these seconds in which the job was paused, or had failed and waited for a resume."""
    rows_per_second: float | None
    """Rows dealt with in each of the other seconds."""


class JobReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of a job, by whom, and what came of it: all that a ticket needs."""

    job: JobView
    """What was asked, by whom; the counts; the file with its SHA-256. Its lanes are left out."""
    ended: bool
    """false: the report is of a job that goes on, as it is now."""
    written_at: str
    times: Times
    errors: ErrorGroups | None
    """null: Elasticsearch does not answer, the job has no rows of its own (an export), or they were removed."""
    history: list[HistoryEntry]
    earlier: int = 0
    """Older records of the history, which are left out."""


class JobFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs that have one of each; an empty list: any."""

    state: Annotated[list[bounds.Name], Meta(max_length=50)] = []
    operation: Annotated[list[bounds.Name], Meta(max_length=50)] = []
    organisation: Annotated[list[bounds.Name], Meta(max_length=50)] = []


class ManyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One command for many jobs: those that are named, those that fit a filter, or all."""

    action: Literal["pause", "resume", "terminate", "rollback"]
    jobs: Annotated[list[bounds.JobId], Meta(max_length=MOST_NAMED)] | None = None
    filter: JobFilter | None = None
    all: bool = False
    reason: bounds.Reason | None = None
    keep_rows: bool = False
    """For terminate only: leave the rows that are written."""
    force: bool = False
    """For rollback only: also restore documents that others have changed since."""
    partial: bool = False
    """For rollback only: also if some before-images are not kept any more."""
    resume_at: bounds.When | None = None
    """For pause only: when the jobs go on by themselves."""
    preview: bool = False
    """Only say which jobs and how many rows it concerns."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the command for one job."""

    id: str
    outcome: Literal["done", "under_way", "refused", "unanswered", "left", "concerned"]
    """done: the job rests, or goes on; under_way: it is on its way there; refused: nothing has changed; unanswered: the
    command is on record, and no worker has taken it yet; left: it fits, and the command is not for its state, as it has
    not begun; concerned: of a preview."""
    state: State | None
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
