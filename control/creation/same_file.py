"""The rule against applying the same file twice. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from control.creation.admission import Catalog
from control.errors import Rejected
from schemas.job import APPLYING, Job, Source, State

Find = Callable[[Job], Job | None]
"""`applied_before`, of the jobs that there are."""


def applied_before(jobs: Iterable[Job], new: Job, catalog: Catalog) -> Job | None:
    """The newest other job that has applied the file of `new` for its organisation and dataset, or is applying it, and
    whose rows stay; None: there is none, or it does not matter.

    Files are the same if they were sent with the same bytes, or if the same bytes came of them: a file and its gzip
    are. An operation that is repeatable may have the same file again, and so may the modes that do not create. A dry
    run applies nothing; neither does a job whose rows are taken out, or whose rows all had errors.
    """
    hashes = _hashes(new.source)
    kind = catalog.operations.get(new.operation)
    if new.mode not in (None, "create"):
        return None  # under keys: it changes documents to what they are, or takes them out
    if not hashes or (kind is not None and kind.repeatable) or new.options.dry_run or new.options.if_same == "allow":
        return None
    found = (
        job
        for job in jobs
        if (job.organisation, job.dataset) == (new.organisation, new.dataset)
        and not hashes.isdisjoint(_hashes(job.source))
        and job.id != new.id
        and _rows_stay(job)
    )
    return max(found, key=lambda job: (job.created_at, job.id), default=None)


def same_file_problem(new: Job, find: Find, *, queued: bool = False) -> Rejected | None:
    """Why `new` can't be made; None: it can. `queued`: it is to wait for its turn, and `applied_meanwhile` is asked
    then, so what is at work until then does not count.
    """
    earlier = find(new)
    if earlier is None or (queued and earlier.state in APPLYING):
        return None
    way = "terminate it" if earlier.state in APPLYING else "roll it back"
    return Rejected(
        409,
        f"{_told(earlier)}; {way} first, or allow that the file is applied once more "
        f'(if_same: "allow"; --if-same allow)',
        {"job_id": earlier.id, "state": earlier.state},
    )


def applied_meanwhile(job: Job, find: Find) -> str | None:
    """Why a queued job can't begin now that its turn has come; None: it can."""
    earlier = find(job)
    return None if earlier is None else f"{_told(earlier)}; resume this job only if it is to be applied once more"


def _told(earlier: Job) -> str:
    return (
        f"this file {'is being' if earlier.state in APPLYING else 'has been'} applied already: job {earlier.id} of "
        f"organisation {earlier.organisation} is {earlier.state} with the same bytes for dataset {earlier.dataset}"
    )


def _hashes(source: Source) -> frozenset[str]:
    """SHA-256 of a file as it was sent, and of what was made of it; none: it is no file, or they are not known."""
    if source.kind != "file":
        return frozenset()
    found = (source.sha256, source.format.sha256 if source.format else None)
    return frozenset(digest for digest in found if digest)


def _rows_stay(job: Job) -> bool:
    if job.options.dry_run or job.mode == "delete":
        return False
    match job.state:
        case state if state in APPLYING:
            return True
        case State.TERMINATING:
            return job.keep_rows
        case State.COMPLETED | State.COMPLETED_WITH_ERRORS:
            return job.applied is not None and job.applied.rows_applied > 0
        case State.TERMINATED | State.FAILED:
            # A worker may have died before it could count what it has written: the blocks that were read decide.
            return job.input.blocks > 0
        case _:
            return False
