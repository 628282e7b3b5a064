"""The rule against applying the same file twice. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from control.creation.admission import Catalog
from control.errors import Rejected
from schemas.job import APPLYING, Job, Source, State

Find = Callable[[Job], Job | None]
"""`AppliedFiles.before`, of the jobs that there are."""


class AppliedFiles:
    """Which job has applied a file, as long as no job changes but those that `add` is told of.

    Files are the same if they were sent with the same bytes, or if the same bytes came of them: a file and its gzip
    are. An operation that is repeatable may have the same file again, and so may the modes that do not create. A dry
    run applies nothing; neither does a job whose rows are taken out, or whose rows all had errors.
    """

    def __init__(self, jobs_of: Callable[[str], Iterable[Job]], catalog: Catalog) -> None:
        """`jobs_of` answers the jobs of an organisation. They are gone through once, however many files follow."""
        self._jobs_of = jobs_of
        self._catalog = catalog
        self._newest: dict[str, dict[tuple[str, str], Job]] = {}
        """Organisation -> dataset and SHA-256 -> the newest job that has applied this file."""

    def before(self, new: Job) -> Job | None:
        """The newest job that has applied the file of `new`, which has not begun, for its organisation and dataset, or
        is applying it, and whose rows stay; None: there is none, or it does not matter.
        """
        digests = _digests(new.source)
        if not digests or not self._matters(new):
            return None
        newest = self._newest.get(new.organisation)
        if newest is None:
            newest = self._newest[new.organisation] = {}
            for job in self._jobs_of(new.organisation):
                _note(newest, job)
        found = (newest[new.dataset, digest] for digest in digests if (new.dataset, digest) in newest)
        return max(found, key=_age, default=None)

    def add(self, job: Job) -> None:
        """A job has begun."""
        if job.organisation in self._newest:
            _note(self._newest[job.organisation], job)

    def _matters(self, new: Job) -> bool:
        if new.mode not in (None, "create"):
            return False  # under keys: it changes documents to what they are, or takes them out
        kind = self._catalog.operations.get(new.operation)
        repeatable = kind is not None and kind.repeatable
        return not repeatable and not new.options.dry_run and new.options.if_same == "refuse"


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


def _digests(source: Source) -> tuple[str, ...]:
    """SHA-256 of a file as it was sent, and of what was made of it; none: it is no file, or they are not known."""
    if source.kind != "file":
        return ()
    if source.format is None or not source.format.sha256:
        return (source.sha256,) if source.sha256 else ()
    return (source.sha256, source.format.sha256) if source.sha256 else (source.format.sha256,)


def _note(newest: dict[tuple[str, str], Job], job: Job) -> None:
    if not _rows_stay(job):
        return
    for digest in _digests(job.source):
        other = newest.get((job.dataset, digest))
        if other is None or _age(job) > _age(other):
            newest[job.dataset, digest] = job


def _age(job: Job) -> tuple[int, str]:
    return job.created_at, job.id


def _rows_stay(job: Job) -> bool:
    if job.options.dry_run or job.mode == "delete":
        return False
    match job.state:
        case State.COMPLETED | State.COMPLETED_WITH_ERRORS:
            return job.applied is not None and job.applied.rows_applied > 0
        case State.TERMINATED | State.FAILED:
            # A worker may have died before it could count what it has written: the blocks that were read decide.
            return job.input.blocks > 0
        case State.TERMINATING:
            return job.keep_rows
        case state:
            return state in APPLYING
