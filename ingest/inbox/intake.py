"""What is known of the jobs whose rows come by the inbox, and what their rows need to be taken in. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from control.predicates import understood
from csvfile.cutter import Limits
from ingest.inbox.acceptance import Terms, terms_of, unknown_dataset, unknown_job
from ingest.inbox.given_up import GivenUpJobs
from ingest.inbox.records import RowMaker
from ingest.inbox.row_buffer import RowBuffer
from ingest.inbox.senders import SenderProblem, anyone
from schemas.descriptors.datasets import Dataset
from schemas.descriptors.modes import needs_key_only
from schemas.job import Job
from schemas.messages.blocks import ABSENT, Block
from schemas.messages.codec import encode
from schemas.messages.inbox import InboxRecord
from schemas.policies.quotas import QuotaBook


@dataclass(frozen=True, slots=True)
class InboxContext:
    """The settings and look-ups for the work on a partition."""

    job: Callable[[str], Job | None]
    datasets: Mapping[str, Dataset]
    limits: Limits
    unknown_job_seconds: float
    """How long a row may be ahead of its job, or of a reader that knows its job's dataset."""
    partitions: int
    """Partitions of the inbox."""
    encoded: Callable[[Block], bytes] = encode
    """A block as a message: those with rows sealed."""
    quotas: QuotaBook = field(default_factory=QuotaBook)
    sender_problem: SenderProblem = anyone
    given_up: GivenUpJobs = field(default_factory=GivenUpJobs)
    storage_problem: Callable[[Job, int], str | None] = lambda *_: None
    """Why the storage gives no key for the job's blocks now, of which so many are there; None: it does, and `encoded`
    raises nothing for that."""

    def is_newer(self, job_id: str) -> bool:
        """Whether a newer version has written this job: its rows wait for a reader that understands it."""
        job = self.job(job_id)
        return job is not None and not understood(job)

    def waited_in_vain(self, job_id: str) -> str:
        """Why a row is refused that has waited for its job or its dataset. A job with an unknown dataset fails."""
        job = self.job(job_id)
        if job is None:
            return unknown_job(job_id, self.unknown_job_seconds)
        reason = unknown_dataset(job, self.unknown_job_seconds, self.datasets)
        self.given_up.give_up(job_id, reason, job.epoch)
        return reason


@dataclass(frozen=True, slots=True)
class JobIntake:
    """What is asked of one job's rows, and where they go."""

    job: Job
    terms: Terms
    maker: RowMaker
    buffer: RowBuffer


class Intakes:
    """The intakes of one partition's jobs. A job is looked up once a turn, not for each of its rows."""

    def __init__(self, context: InboxContext, states: Iterable[InboxRecord]) -> None:
        """`states`: the newest of each job whose home the partition is."""
        self.buffers = {state.job_id: RowBuffer(state) for state in states}
        """Job id -> its rows. A job is in it as long as it takes rows."""
        self._context = context
        self._found: dict[str, JobIntake | None] = {}

    def begin_turn(self) -> None:
        """Look everything up anew."""
        self._found.clear()

    def of(self, job_id: str) -> JobIntake | None:
        """What this job's rows need; None: the job or its dataset is not known."""
        if job_id not in self._found:
            self._found[job_id] = self._look_up(job_id)
        return self._found[job_id]

    def _look_up(self, job_id: str) -> JobIntake | None:
        job = self._context.job(job_id)
        if job is None or not understood(job):
            return None
        terms = terms_of(job, self._context.quotas)
        buffer = self.buffers.get(job_id) or RowBuffer(InboxRecord(job_id=job_id))
        dataset, given_up = self._context.datasets.get(job.dataset), self._context.given_up.get(job_id)
        if terms.refusal is None and not terms.complete:
            if given_up is not None:
                terms = Terms(given_up)
            elif dataset is None:
                return None
            elif buffer.is_torn:
                terms = Terms(f"the rows of job {job_id} come too far out of order")
            else:
                self.buffers[job_id] = buffer
        if dataset is None:
            return JobIntake(job, terms, RowMaker(("",)), buffer)
        return JobIntake(job, terms, RowMaker(row_columns(dataset, job), _absent(dataset, job)), buffer)


def row_columns(dataset: Dataset, job: Job) -> list[str]:
    """The fields that the job's rows have; those that it sets are added by the workers."""
    return [name for name in dataset.columns if name not in job.options.set]


def _absent(dataset: Dataset, job: Job) -> dict[str, str]:
    """Field -> the text of a row that does not have it, where that is not an empty one."""
    if needs_key_only(job.mode):
        return {name: ABSENT for name in dataset.columns if name not in dataset.primary_key}
    return dict(dataset.fills({}, job.created_at))
