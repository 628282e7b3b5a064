"""What an organisation uses, and the refusal of what exceeds its quotas, for REST, the page and the topic. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from control.errors import Rejected
from control.predicates import run_over
from schemas.bounds import MOST_COLUMNS
from schemas.job import BUSY, Job, Source, State
from schemas.policies.quotas import LIMITS, QuotaName, Quotas
from schemas.policies.retention import StoreName


@dataclass(frozen=True, slots=True)
class Usage:
    """What the jobs of one organisation use now."""

    running: int = 0
    """Jobs in a state in which a job holds its exclusive key."""
    queued: int = 0
    drafts: int = 0
    files: Collection[str] = ()
    """Paths of the files in storage. They are as they are now, and not as they were when this was made."""
    stored_bytes: int = 0
    """Bytes of these files; one that several jobs read counts once."""
    inbox_rows: int = 0
    """Rows that have come by the inbox for jobs that are not over, or have been announced for them."""


class Usages:
    """The usage of each organisation, kept as states of jobs come: a look at all jobs would take a tenth of a second
    where there are a hundred thousand."""

    def __init__(self) -> None:
        self._of: dict[str, _Tally] = {}

    def join(self, job: Job) -> None:
        """Count the job in this state."""
        self._of.setdefault(job.organisation, _Tally()).add(job, 1)

    def leave(self, job: Job | None) -> None:
        """Count it no more. It may be in brief by now."""
        if job is not None:
            tally = self._of.setdefault(job.organisation, _Tally())  # jobs that use nothing leave none behind
            tally.add(job, -1)
            if tally == _NOTHING:
                del self._of[job.organisation]

    def of(self, organisation: str) -> Usage:
        """The usage of this organisation."""
        tally = self._of.get(organisation)
        return Usage() if tally is None else tally.usage()


@dataclass(slots=True)
class _Tally:
    running: int = 0
    queued: int = 0
    drafts: int = 0
    inbox_rows: int = 0
    stored_bytes: int = 0
    files: dict[str, int] = field(default_factory=dict)
    """Path -> bytes."""
    again: dict[str, int] = field(default_factory=dict)
    """Path -> how many further jobs have that file; few have one that another has."""

    def add(self, job: Job, sign: Literal[1, -1]) -> None:
        self.running += sign * (job.state in BUSY)
        self.queued += sign * (job.state is State.QUEUED)
        self.drafts += sign * (job.state is State.DRAFT)
        if job.source.kind == "topic" and not run_over(job):
            self.inbox_rows += sign * max(job.input.rows, job.announced_rows or 0)
        for path, size in stored_files(job):
            if sign > 0:
                self._join(path, size)
            else:
                self._leave(path)

    def _join(self, path: str, size: int) -> None:
        if path in self.files:
            self.again[path] = self.again.get(path, 0) + 1
        else:
            self.files[path] = size
            self.stored_bytes += size

    def _leave(self, path: str) -> None:
        others = self.again.pop(path, 0)
        if not others:
            self.stored_bytes -= self.files.pop(path)
        elif others > 1:
            self.again[path] = others - 1

    def usage(self) -> Usage:
        return Usage(self.running, self.queued, self.drafts, self.files.keys(), self.stored_bytes, self.inbox_rows)


_NOTHING: Final = _Tally()


def usage_of(organisation: str, jobs: Iterable[Job]) -> Usage:
    """The usage of this organisation, which some of these jobs are of."""
    tally = _Tally()
    for job in jobs:
        if job.organisation == organisation:
            tally.add(job, 1)
    return tally.usage()


def stored_files(job: Job) -> Iterator[tuple[str, int]]:
    """Path and bytes of the files of a job that are in storage; those of import folders are not."""
    for source, store in _files(job):
        if in_storage(source) and job.lacks(store) is None:
            yield source.path or "", source.bytes or 0


def _files(job: Job) -> Iterator[tuple[Source, StoreName]]:
    yield job.source, "uploaded_files"
    if job.retry is not None:
        yield job.retry, "corrected_files"


def in_storage(source: Source) -> bool:
    """Whether a source is a file that was taken in, rather than one of an import folder, or none."""
    return source.kind == "file" and source.path is not None and not source.path.startswith("/")


def exceeded(name: QuotaName, organisation: str, most: float, found: str) -> Rejected:
    """The refusal of what exceeds a limit; `found` says what was met, as the beginning of a sentence. Without an
    organisation the limit is one of a caller that may act for several.
    """
    limit = LIMITS[name]
    whose = f"organisation {organisation}" if organisation else "a caller"
    return Rejected(
        limit.status,
        f"{found}; the most {limit.bounds} that {whose} may have is {most:,} (limit {name}, SLUICE_LIMITS): "
        f"{limit.advice}",
        {"limit": name, "most": most, "organisation": organisation},
    )


def room_problem(name: QuotaName, organisation: str, had: int, most: int) -> Rejected | None:
    """Why there can't be one more of what stays until someone takes it away; None: there is room.

    Without an organisation those are counted that are for all organisations.
    """
    if had < most:
        return None
    whose = "" if organisation else ", for all organisations"
    return exceeded(name, organisation, most, f"there are {had:,} already{whose}")


def size_problem(source: Source, organisation: str, quotas: Quotas) -> Rejected | None:
    """Which limit of its own a source exceeds; None: none."""
    columns = source.columns
    if source.bytes is not None and source.bytes > quotas.body_bytes:
        return exceeded("body_bytes", organisation, quotas.body_bytes, f"the file has {source.bytes:,} bytes")
    return None if columns is None else header_problem(columns, organisation, quotas)


def header_problem(
    columns: Mapping[str, object] | tuple[str, ...], organisation: str, quotas: Quotas
) -> Rejected | None:
    """Which limit the columns of a file exceed, given their names; None: none."""
    if quotas.columns < len(columns) <= MOST_COLUMNS:  # of more, the header itself is refused
        return exceeded("columns", organisation, quotas.columns, f"the file has {len(columns):,} columns")
    longest = max(columns, key=len, default="")
    if len(longest) > quotas.field_characters:
        text = f"the name of the column {longest[:40]!r}... has {len(longest):,} characters"
        return exceeded("field_characters", organisation, quotas.field_characters, text)
    return None


def rows_problem(rows: int, organisation: str, quotas: Quotas) -> Rejected | None:
    """Whether a job has too many rows; None: it has not. `rows` may be fewer than it has."""
    if rows <= quotas.rows:
        return None
    return exceeded("rows", organisation, quotas.rows, f"the job has {rows:,} rows, or more")


def export_problem(rows: int, organisation: str, quotas: Quotas) -> Rejected | None:
    """Whether an export has too many rows; None: it has not."""
    if rows <= quotas.export_rows:
        return None
    return exceeded("export_rows", organisation, quotas.export_rows, f"the export has {rows:,} rows")


def running_problem(usage: Usage, organisation: str, quotas: Quotas) -> Rejected | None:
    """Why no further job of the organisation may start now; None: one may."""
    if usage.running < quotas.jobs_running:
        return None
    text = f"organisation {organisation} has {usage.running:,} jobs at work"
    return exceeded("jobs_running", organisation, quotas.jobs_running, text)


def queue_problem(usage: Usage, organisation: str, quotas: Quotas) -> Rejected | None:
    """Why no further job of the organisation may wait for its turn; None: one may."""
    if usage.queued < quotas.jobs_queued:
        return None
    text = f"organisation {organisation} has {usage.queued:,} jobs in the queue"
    return exceeded("jobs_queued", organisation, quotas.jobs_queued, text)


def draft_problem(usage: Usage, organisation: str, quotas: Quotas) -> Rejected | None:
    """Why no further job of the organisation may wait for its file; None: one may."""
    if usage.drafts < quotas.drafts:
        return None
    text = f"organisation {organisation} has {usage.drafts:,} jobs whose files are still to come"
    return exceeded("drafts", organisation, quotas.drafts, text)


def stored_problem(source: Source, usage: Usage, organisation: str, quotas: Quotas) -> Rejected | None:
    """Why a file can't be stored beside those that the organisation has; None: it can."""
    size, stored = source.bytes or 0, usage.stored_bytes
    if not in_storage(source) or source.path in usage.files or stored + size <= quotas.stored_bytes:
        return None
    text = f"the file has {size:,} bytes, beside {stored:,} that are stored"
    return exceeded("stored_bytes", organisation, quotas.stored_bytes, text)


def inbox_problem(source: Source, usage: Usage, organisation: str, quotas: Quotas) -> Rejected | None:
    """Why no further job may take its rows from the inbox; None: one may, or this one takes them from elsewhere."""
    if source.kind != "topic" or usage.inbox_rows < quotas.inbox_rows:
        return None
    text = f"{usage.inbox_rows:,} rows have come by the inbox, or are announced, for jobs that are not over"
    return exceeded("inbox_rows", organisation, quotas.inbox_rows, text)


def place_problem(
    source: Source, usage: Usage, organisation: str, quotas: Quotas, *, queueing: bool
) -> Rejected | None:
    """Why the organisation may have no further job now, whatever other jobs hold; `queueing`: it would wait."""
    full = running_problem(usage, organisation, quotas)
    if full is not None and queueing:
        full = queue_problem(usage, organisation, quotas)
    return (
        full
        or stored_problem(source, usage, organisation, quotas)
        or inbox_problem(source, usage, organisation, quotas)
    )
