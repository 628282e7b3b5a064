"""Whether a job takes the rows that come for it, from its state in the control table. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from control.creation.quotas import exceeded
from control.predicates import terminated
from schemas.job import Job
from schemas.policies.quotas import QuotaBook


@dataclass(frozen=True, slots=True)
class Terms:
    """Whether and up to which number a job takes rows now."""

    refusal: str | None = None
    """Why it takes no rows; None: it takes some."""
    last: int | None = None
    """The highest row number that there is; None: not known yet."""
    complete: bool = False
    """Every row up to `last` has come: any other one is a repeat."""
    most: int | None = None
    """The most rows that a job of its `organisation` may have; None: not of concern."""
    organisation: str = ""

    def objection(self, row: int) -> str | None:
        """Why this row is refused; None: it is not."""
        if self.refusal is None and self.last is not None and row > self.last:
            return f"row {row:,} is beyond the {self.last:,} rows that were announced for the job"
        if self.refusal is None and self.most is not None and row > self.most:
            return exceeded("rows", self.organisation, self.most, f"the row has the number {row:,}").message
        return self.refusal


def terms_of(job: Job, quotas: QuotaBook | None = None) -> Terms:
    """The terms of `job`. Paused, queued and failed jobs take rows: these wait in Kafka as blocks.

    With `quotas`, it takes no row with a number above the most rows of a job.
    """
    if job.source.kind != "topic":
        return Terms(f"job {job.id} reads its rows from a {job.source.kind}, not from the inbox")
    if job.phase == "undo" or terminated(job):
        return Terms(f"job {job.id} is {job.state}: it takes no more rows")
    if job.input.ended:
        return Terms(last=job.input.rows, complete=True)
    if job.announced_rows is not None:
        return Terms(last=job.announced_rows)
    return Terms(most=quotas.of(job.organisation).rows if quotas else None, organisation=job.organisation)


def takes_rows(job: Job) -> bool:
    """Whether rows of the job are still to become blocks."""
    terms = terms_of(job)
    return terms.refusal is None and not terms.complete


def unknown_job(job_id: str, seconds: float) -> str:
    """Why a row is refused whose job does not exist."""
    return f"there is no job {job_id}: it was not made within {seconds:g} s after the row; make it first"


def unknown_dataset(job: Job, seconds: float, known: Iterable[str]) -> str:
    """Why a row is refused, and its job fails, when no reader that knows the dataset has come."""
    return (
        f"the dataset {job.dataset!r} of job {job.id} is not known to this reader, and no other one has come within "
        f"{seconds:g} s; known: {', '.join(sorted(known))}. Rows that came by the inbox were refused: give the readers "
        f"the dataset, then resume the job and send its rows again"
    )
