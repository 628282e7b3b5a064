"""How many documents each job should have, by what Kafka says of it, and what differs from that. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from schemas.job import ENDED, Job, LaneTotals, State
from schemas.messages.lanes import LaneRecord

WRITING = frozenset({"upload", "teams"})
"""Operations of Sluice's own whose rows are documents that carry the job's id."""

Kind = Literal["fewer", "more", "ahead", "unknown", "newer_report", "no_file", "no_key", "no_result"]


class Rows(NamedTuple):
    """How many documents a job should have."""

    least: int
    most: int | None
    """None: more are no fault, since they are applied again under the same ids."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What one store lacks of a job, or has beyond it. Without `job` Kafka does not have its state."""

    kind: Kind
    job_id: str
    job: Job | None = None
    found: int = 0
    expected: int = 0


def rows_apart(
    jobs: Mapping[str, Job], lanes: Mapping[str, Iterable[LaneRecord]], stored: Mapping[str, int]
) -> Iterator[Difference]:
    """The jobs of which Elasticsearch has fewer or more documents than Kafka has counted."""
    newest = _newest_writers(jobs.values())
    for job in jobs.values():
        rows = expected(job, lanes.get(job.id, ()), job.id in newest)
        if rows is None:
            continue
        found = stored.get(job.id, 0)
        if found < rows.least:
            yield Difference("fewer", job.id, job, found, rows.least)
        elif rows.most is not None and found > rows.most:
            yield Difference("more", job.id, job, found, rows.most)
        elif found > rows.least and job.state in (State.PAUSED, State.FAILED):
            yield Difference("ahead", job.id, job, found, rows.least)


def expected(job: Job, lanes: Iterable[LaneRecord], newest: bool) -> Rows | None:
    """How many documents carry the job's id, by what Kafka has of it; None: that can't be told.

    `newest`: no later job writes under keys of the same organisation and dataset. Of earlier ones it may have written
    over documents, which carry its own id then.
    """
    writes = job.operation in WRITING and not job.options.dry_run and job.state not in (State.DRAFT, State.QUEUED)
    if not writes or job.purging or job.purged_at or not (job.mode is None or newest):
        return None
    if job.state is State.ROLLED_BACK:
        undone = job.undone or LaneTotals()
        return Rows(0, undone.rows_kept + undone.rows_not_restored)
    if job.phase == "undo" or job.state is State.TERMINATING:
        return None  # rows are taken out, and it ends with a count
    applied = job.applied or LaneTotals()
    if job.state in ENDED:
        return Rows(_documents(job, applied), _documents(job, applied))
    own = (lane.totals for lane in lanes if lane.phase == "apply" and lane.run == job.run)
    under_way = sum(own, LaneTotals())
    return Rows(_documents(job, applied if job.run else LaneTotals()) + _documents(job, under_way), None)


def without_copies(difference: Difference, ids: Iterable[str]) -> Difference | None:
    """What is left of a difference of the kind ``more``, given the ids of the documents found; None: nothing.

    Copies that other programs have made under ids of their own have the job's mark too. No rollback takes them out, and
    none counts them.
    """
    assert difference.job is not None
    scopes = (difference.job.id, difference.job.organisation)
    own = sum(document_id.rpartition(":")[0] in scopes for document_id in ids)
    return replace(difference, found=own) if own > difference.expected else None


def _documents(job: Job, totals: LaneTotals) -> int:
    return totals.rows_applied if job.mode is None else totals.rows_created + totals.rows_updated


def _newest_writers(jobs: Iterable[Job]) -> Collection[str]:
    """The last job of each dataset among those that write under keys of an organisation."""
    newest: dict[tuple[str, str], Job] = {}
    for job in jobs:
        place = job.organisation, job.dataset
        if job.mode is not None and (place not in newest or job.created_at > newest[place].created_at):
            newest[place] = job
    return {job.id for job in newest.values()}
