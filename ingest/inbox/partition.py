"""One partition of the inbox: records in, and what one transaction is to write of them. Pure, but for the log.

Each job has a home partition. A record that lies on another one, because its sender hashes keys in another way, is
moved there first: so one job's rows meet in one place, where a number that comes twice is noticed.

An error of one record refuses this record; an error of one job fails this job. `InboxPartition._deal_with` and
`InboxPartition.gather` see to both: neither kind of error ends the thread, which serves all jobs. A job whose key the
storage does not give waits for it (`passed_over.py`), and is neither refused nor failed.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby, islice
from operator import attrgetter

from aiokafka.partitioner import murmur2
from msgspec import Raw
from msgspec.structs import replace

from control.predicates import understood
from csvfile.cutter import Limits
from ingest.inbox.acceptance import Terms, takes_rows, terms_of, unknown_dataset, unknown_job
from ingest.inbox.given_up import GivenUpJobs
from ingest.inbox.passed_over import PassedOver
from ingest.inbox.records import Arrival, PlainRow, RowMaker, read_plain, read_record
from ingest.inbox.row_buffer import RowBuffer
from ingest.inbox.senders import SenderProblem, anyone
from ingest.inbox.waiting_rows import Aside, Record
from runtime.telemetry.log_events import as_event
from schemas.bounds import MOST_REASON
from schemas.descriptors.datasets import Dataset
from schemas.descriptors.modes import needs_key_only
from schemas.ids import JOB_ID
from schemas.job import Job
from schemas.messages.blocks import ABSENT, Block, RowBlock
from schemas.messages.codec import UndecodableError, encode
from schemas.messages.dead_letters import RejectedRecord
from schemas.messages.inbox import InboxRecord
from schemas.messages.packed_rows import packed_rows
from schemas.policies.quotas import QuotaBook
from schemas.topics import MOST_RECORD_BYTES

log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000
"""Bytes of a record's value, at most, so that it can be moved to another partition with its signature and the job's id:
topics take 48 KiB more by default."""
_RUN_RECORDS = 500
"""Records that are dealt with together, at most."""
MOST_BLOCK_BYTES = MOST_RECORD_BYTES - 1024
_NEWER = "a newer version has written the job's state"


@lru_cache(maxsize=65_536)
def home_partition(job_id: str, partitions: int) -> int:
    """The partition of the inbox on which a job's rows meet: the one that Java's client would choose for its key."""
    return int((murmur2(job_id.encode()) & 0x7FFFFFFF) % partitions)


@dataclass(frozen=True, slots=True)
class InboxDeadLetter:
    """A record of the inbox that becomes a dead letter, and why."""

    record: Record
    reason: str


@dataclass(slots=True)
class Batch:
    """What one transaction writes about one partition; Kafka takes all of it or nothing."""

    position: int
    """Offset of the first record that is not part of it."""
    blocks: list[tuple[int, RowBlock]] = field(default_factory=list)
    """Partition of the rows topic, block."""
    values: list[bytes] = field(default_factory=list)
    """The blocks, encoded."""
    states: list[tuple[str, InboxRecord | None]] = field(default_factory=list)
    """Job id, checkpoint; None: it is not needed any more."""
    dead_letters: list[InboxDeadLetter] = field(default_factory=list)
    moved: list[tuple[int, str, Record]] = field(default_factory=list)
    """Partition of the inbox, job id, record."""
    rejected: list[RejectedRecord] = field(default_factory=list)
    """Checkpoints that can't be read."""
    dropped: list[bytes] = field(default_factory=list)
    """Keys of those checkpoints, as far as no job needs them."""


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
    storage_problem: Callable[[Job], str | None] = lambda _: None
    """Why the storage gives no key for the job's blocks now; None: it does, and `encoded` raises nothing for that."""


@dataclass(frozen=True, slots=True)
class _JobIntake:
    """The dataset, limits and checks for one job's rows, looked up once a turn."""

    job: Job
    terms: Terms
    maker: RowMaker
    fill: RowBuffer


class GivenUpError(Exception):
    """The rows of a job can't become blocks. Its records that were not written yet are read again, and refused."""


class InboxPartition:
    """A partition from its assignment to its revocation. The topic has all that is in its memory: it may be dropped.

    A record whose job is not known yet is set aside, and what lies behind it goes on. The position stays at the first
    record set aside: the next owner, which begins there, reads some rows a second time, and `RowBuffer` drops them.
    """

    def __init__(
        self,
        partition: int,
        position: int,
        states: Iterable[InboxRecord],
        context: InboxContext,
        rejected: Iterable[RejectedRecord] = (),
    ) -> None:
        """`states`: the newest of each job whose home the partition is; `position`: the committed offset; `rejected`:
        states that can't be read. Which rows of their jobs have come is not known: those that still take rows fail.
        """
        self.partition = partition
        self.fills = {state.job_id: RowBuffer(state) for state in states}
        self._context = context
        self._rejected = list(rejected)
        for record in self._rejected:
            reason = f"which of its rows have come is not known any more ({record})"
            context.given_up.give_up(_job_id(record), reason, epoch=None)
        self._backlog: deque[Record] = deque()
        self._aside = Aside(context.unknown_job_seconds)
        self.passed_over = PassedOver()
        self._intakes: dict[str, _JobIntake | None] = {}
        self._taken_from: dict[str, int] = {}
        """Job id -> the lowest offset of its records whose rows are to be part of the next batch."""
        self._batch = Batch(position)
        self._position = self._next = position

    @property
    def backlog(self) -> int:
        """How many records have come and are neither dealt with nor set aside, for want of room."""
        return len(self._backlog)

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing to do before another record comes: no job is filling, and no row waits."""
        return not (self.fills or self._backlog or self._rejected or len(self._aside) or len(self.passed_over))

    def come(self, record: Record) -> None:
        """Take in a record; the caller gives them in the order of their offsets."""
        self._backlog.append(record)

    def work(self, now: float) -> None:
        """Deal with the records that have come while there is room for rows without a job; `now`: of a steady clock."""
        self._intakes.clear()
        for job_id in self._aside.jobs():
            if self._intake(job_id) is not None:
                for record in self._aside.take(job_id):
                    self._deal_with(record, now)
        for job_id, record in self._aside.overdue(now, self._left_alone):
            self._refuse(record, self._missing(job_id))
        for job_id in self.passed_over.try_again(self._still_passed_over, self._next, now):
            log.info("inbox: job %s: its rows are read again", job_id, extra=as_event("job.read_again", job=job_id))
        while self._backlog and self._deal_with_next(self._run(), now):
            pass

    def come_again(self, record: Record, now: float) -> None:
        """Take in a record in the second reading. Those that were dealt with when they came first are left out."""
        try:
            job_id = self._read(record).job_id
        except Exception:  # for the same error the record was refused then
            return
        if not self.passed_over.reads_again(job_id):
            return
        if self._context.job(job_id) is None:
            self._refuse(record, self._missing(job_id))  # it is not set aside: records wait there by their offsets
        elif self._left_alone(job_id):
            self.passed_over.pass_over(job_id, _NEWER, record.offset)
        else:
            self._deal_with(record, now)

    def _run(self) -> list[Record]:
        """The next records, as many as are dealt with together."""
        size, run = 0, list[Record]()
        for record in islice(self._backlog, _RUN_RECORDS):
            size += len(record.value or b"")
            if run and size > self._context.limits.bytes:
                break
            run.append(record)
        return run

    def _deal_with_next(self, run: list[Record], now: float) -> bool:
        """Deal with these records, the first ones of the backlog; False: there is no room for one of them now."""
        at = 0
        try:
            for job_id, rows in self._plain_rows(run):
                records = run[at : at + len(rows)]
                if self._take_plain(job_id, records, rows):
                    self._dealt_with(records)
                elif not self._one_by_one(records, now):
                    return False
                at += len(rows)
        except Exception:  # a bug, or records of an unforeseen kind: which one is at fault is found out
            log.exception(
                "inbox: the records from offset %d of partition %d on are read one by one",
                run[at].offset,
                self.partition,
                extra=as_event("record.unreadable", partition=self.partition),
            )
        return self._one_by_one(run[at:], now)

    def _plain_rows(self, run: Sequence[Record]) -> Iterator[tuple[str, list[PlainRow]]]:
        """Job id, and the rows of the records of one job that come behind one another; none if a record has others."""
        values = [record.value for record in run if record.value is not None]
        if len(values) == len(run) and len(values[0]) <= self._context.limits.bytes:
            for job_id, rows in groupby(read_plain(values) or (), attrgetter("job_id")):
                yield job_id, list(rows)

    def _dealt_with(self, records: Sequence[Record]) -> None:
        for _ in records:
            self._backlog.popleft()
        self._next = records[-1].offset + 1

    def _one_by_one(self, records: Iterable[Record], now: float) -> bool:
        for record in records:
            if not self._deal_with(record, now):
                return False
            self._dealt_with([record])
        return True

    def gather(self) -> Batch | None:
        """The batch to write; None: nothing has happened. The caller writes it, or drops this partition.

        Raises:
            GivenUpError: the caller must drop this partition.
        """
        batch = self._batch
        for job_id, fill in list(self.fills.items()):
            job = self._context.job(job_id)
            if self._left_alone(job_id):
                continue
            if job is None or not takes_rows(job):
                del self.fills[job_id]
                batch.states.append((job_id, None))
            elif fill.is_waiting:
                try:
                    problem = self._context.storage_problem(job)
                    if problem is not None:
                        self._pass_over(job, problem, fill)
                        continue
                    self._cut(batch, job, fill)
                except Exception as error:
                    # A bug, or rows of an unforeseen kind: this one job fails, with the reason.
                    log.exception(
                        "inbox: job %s: its rows can't become blocks", job_id, extra=as_event("job.stuck", job=job_id)
                    )
                    reason = f"its rows can't become blocks: {error!r}"[:MOST_REASON]
                    self._context.given_up.give_up(job_id, reason, job.epoch)
                    raise GivenUpError(f"job {job_id}: {error!r}") from error
        for record in self._rejected:
            batch.rejected.append(record)
            job = self._context.job(_job_id(record))
            if not self._left_alone(_job_id(record)) and (job is None or not takes_rows(job)):
                batch.dropped.append(record.key or b"")
        self._rejected = []
        self._taken_from.clear()
        firsts = [first for first in (self._aside.first, self.passed_over.first) if first is not None]
        batch.position = min(firsts, default=self._next)
        if batch.position == self._position and not (
            batch.states or batch.dead_letters or batch.moved or batch.rejected
        ):
            return None
        self._position = batch.position
        self._batch = Batch(batch.position)
        return batch

    def _pass_over(self, job: Job, problem: str, fill: RowBuffer) -> None:
        """Have the job's rows that are in no block yet read again, with those that come."""
        log.warning("inbox: job %s: its rows wait: %s", job.id, problem, extra=as_event("job.stuck", job=job.id))
        fill.drop_waiting()
        self.passed_over.pass_over(job.id, problem, self._taken_from[job.id])

    def _still_passed_over(self, job_id: str) -> str | None:
        """Why the job's records are passed over further; None: they are to be taken, or refused."""
        job = self._context.job(job_id)
        if job is not None and not understood(job):
            return _NEWER
        return self._context.storage_problem(job) if job is not None and takes_rows(job) else None

    def _cut(self, batch: Batch, job: Job, fill: RowBuffer) -> None:
        blocks = fill.cut(_columns(self._context.datasets[job.dataset], job), self._context.limits)
        values = [self._context.encoded(replace(block, rows=Raw(packed_rows(block.rows)))) for block in blocks]
        longest = max(map(len, values))
        if longest > MOST_BLOCK_BYTES:
            raise ValueError(f"a block of {longest:,} bytes, Kafka takes {MOST_BLOCK_BYTES:,}")
        batch.blocks += [(block.block % job.partitions, block) for block in blocks]
        batch.values += values
        batch.states.append((job.id, fill.record()))

    def _deal_with(self, record: Record, now: float) -> bool:
        """Take in a record's rows, refuse it, or set it aside; False: there is no room for that now."""
        try:
            arrival = self._read(record)
            job_id = arrival.job_id
            home = home_partition(job_id, self._context.partitions)
            if home != self.partition:
                self._batch.moved.append((home, job_id, record))
            elif job_id in self.passed_over:
                pass  # the position stays in front of it
            elif (intake := self._intake(job_id)) is not None:
                stranger = self._context.sender_problem(record, intake.job)
                if stranger is not None:
                    self._refuse(record, stranger)
                else:
                    self._take_in(record, arrival, intake)
            else:
                return self._set_aside(job_id, record, now)
        except UndecodableError as error:
            self._refuse(record, str(error))
        except Exception as error:
            # A bug, or a record of an unforeseen kind: it is refused, and the records behind it are taken.
            log.exception(
                "inbox: the record at offset %d of partition %d failed unexpectedly",
                record.offset,
                self.partition,
                extra=as_event("record.unreadable", partition=self.partition),
            )
            self._refuse(record, f"the reader failed on this record: {error!r}")
        return True

    def _read(self, record: Record) -> Arrival:
        """What the record says. Raises UndecodableError: it is to be refused."""
        if len(record.value or b"") > MOST_BYTES:
            raise UndecodableError(f"a record is at most {MOST_BYTES:,} bytes")
        return read_record(record.value, self._context.limits.bytes)

    def _take_plain(self, job_id: str, records: Sequence[Record], rows: Sequence[PlainRow]) -> bool:
        """Take in records of one job that are one row each; False: nothing is done, since one of them needs a closer
        look."""
        if not JOB_ID.match(job_id) or home_partition(job_id, self._context.partitions) != self.partition:
            return False
        if job_id in self.passed_over:
            return True
        intake = self._intake(job_id)
        if intake is None or intake.terms.complete or intake.terms.objection(max(row.row for row in rows)) is not None:
            return False
        if any(self._context.sender_problem(record, intake.job) is not None for record in records):
            return False
        texts = intake.maker.plain_texts([row.values for row in rows])
        if texts is None:
            return False
        least = intake.maker.least_bytes
        sizes = [max(len(record.value or b""), least) for record in records]
        intake.fill.take_all([row.row for row in rows], texts, sizes)
        self._note_taken(job_id, records[0])
        return True

    def _note_taken(self, job_id: str, record: Record) -> None:
        self._taken_from[job_id] = min(record.offset, self._taken_from.get(job_id, record.offset))

    def _set_aside(self, job_id: str, record: Record, now: float) -> bool:
        while not self._aside.has_room():
            oldest = self._aside.pop_oldest(now, self._left_alone)
            if oldest is None:
                return False
            self._refuse(oldest[1], f"{self._missing(oldest[0])}; too many rows wait like it, so it waits no longer")
        self._aside.put(job_id, record, now)
        return True

    def _take_in(self, record: Record, arrival: Arrival, intake: _JobIntake) -> None:
        # the bytes of a row in a block: an empty text takes three, and a problem takes its length
        size = max(len(record.value or b"") // len(arrival.values), intake.maker.least_bytes)
        self._note_taken(arrival.job_id, record)
        for number, values, problem in arrival.rows():
            objection = intake.terms.objection(number)
            if objection is not None:
                self._refuse(record, objection)
                return
            if not intake.terms.complete:
                texts, wrong = intake.maker.texts(values, plain=arrival.plain)
                problem = problem or wrong
                intake.fill.take(number, texts, problem, size + len(problem) if problem else size)

    def _left_alone(self, job_id: str) -> bool:
        """Whether a newer version has written this job: its rows wait for a reader that understands it."""
        job = self._context.job(job_id)
        return job is not None and not understood(job)

    def _refuse(self, record: Record, reason: str) -> None:
        self._batch.dead_letters.append(InboxDeadLetter(record, reason[:MOST_REASON]))

    def _intake(self, job_id: str) -> _JobIntake | None:
        """What this job's rows need; None: the job or its dataset is not known."""
        if job_id not in self._intakes:
            self._intakes[job_id] = self._look_up(job_id)
        return self._intakes[job_id]

    def _look_up(self, job_id: str) -> _JobIntake | None:
        job = self._context.job(job_id)
        if job is None or not understood(job):
            return None
        terms = terms_of(job, self._context.quotas)
        fill = self.fills.get(job_id) or RowBuffer(InboxRecord(job_id=job_id))
        dataset, given_up = self._context.datasets.get(job.dataset), self._context.given_up.get(job_id)
        if terms.refusal is None and not terms.complete:
            if given_up is not None:
                terms = Terms(given_up)
            elif dataset is None:
                return None
            elif fill.is_torn:
                terms = Terms(f"the rows of job {job_id} come too far out of order")
            else:
                self.fills[job_id] = fill
        if dataset is None:
            return _JobIntake(job, terms, RowMaker(("",)), fill)
        return _JobIntake(job, terms, RowMaker(_columns(dataset, job), _absent(dataset, job)), fill)

    def _missing(self, job_id: str) -> str:
        """Why a row is refused that has waited in vain. Of an unknown dataset the job learns, too."""
        job, seconds = self._context.job(job_id), self._context.unknown_job_seconds
        if job is None:
            return unknown_job(job_id, seconds)
        reason = unknown_dataset(job, seconds, self._context.datasets)
        self._context.given_up.give_up(job_id, reason, job.epoch)
        return reason


def _columns(dataset: Dataset, job: Job) -> list[str]:
    """The fields that the job's rows have; those that it sets are added by the workers."""
    return [name for name in dataset.columns if name not in job.options.set]


def _absent(dataset: Dataset, job: Job) -> dict[str, str]:
    """Field -> the text of a row that does not have it, where that is not an empty one."""
    if needs_key_only(job.mode):
        return {name: ABSENT for name in dataset.columns if name not in dataset.primary_key}
    return dict(dataset.fills({}, job.created_at))


def _job_id(record: RejectedRecord) -> str:
    return (record.key or b"").decode("utf-8", "replace")
