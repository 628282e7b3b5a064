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
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby, islice
from operator import attrgetter

from aiokafka.partitioner import murmur2
from msgspec import Raw
from msgspec.structs import replace

from ingest.inbox.acceptance import takes_rows
from ingest.inbox.batch import Batch, InboxDeadLetter
from ingest.inbox.intake import InboxContext, Intakes, JobIntake, row_columns
from ingest.inbox.passed_over import PassedOver
from ingest.inbox.records import Arrival, PlainRow, read_plain, read_record
from ingest.inbox.row_buffer import RowBuffer
from ingest.inbox.waiting_rows import Aside, Record
from runtime.telemetry.log_events import as_event
from schemas.bounds import MOST_REASON
from schemas.ids import JOB_ID
from schemas.job import Job
from schemas.messages.codec import UndecodableError
from schemas.messages.dead_letters import RejectedRecord
from schemas.messages.inbox import InboxRecord
from schemas.messages.packed_rows import packed_rows
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
        self._context = context
        self._rejected = list(rejected)
        for record in self._rejected:
            reason = f"which of its rows have come is not known any more ({record})"
            context.given_up.give_up(_job_id(record), reason, epoch=None)
        self._backlog: deque[Record] = deque()
        self._aside = Aside(context.unknown_job_seconds)
        self.passed_over = PassedOver()
        self._intakes = Intakes(context, states)
        self._taken_from: dict[str, int] = {}
        """Job id -> the lowest offset of its records whose rows are to be part of the next batch."""
        self._batch = Batch(position)
        self._position = self._next = position

    @property
    def buffers(self) -> dict[str, RowBuffer]:
        """The rows of each job whose home the partition is, as long as it takes some."""
        return self._intakes.buffers

    @property
    def backlog(self) -> int:
        """How many records have come and are neither dealt with nor set aside, for want of room."""
        return len(self._backlog)

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing to do before another record comes: no job takes rows, and no row waits."""
        return not (self.buffers or self._backlog or self._rejected or len(self._aside) or len(self.passed_over))

    def come(self, record: Record) -> None:
        """Take in a record; the caller gives them in the order of their offsets."""
        self._backlog.append(record)

    def work(self, now: float) -> None:
        """Deal with the records that have come while there is room for rows without a job; `now`: of a steady clock."""
        self._intakes.begin_turn()
        for job_id in self._aside.jobs():
            if self._intakes.of(job_id) is not None:
                for record in self._aside.take(job_id):
                    self._deal_with(record, now)
        for job_id, record in self._aside.overdue(now, self._context.is_newer):
            self._refuse(record, self._context.waited_in_vain(job_id))
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
            # It is not set aside: records wait there by their offsets.
            self._refuse(record, self._context.waited_in_vain(job_id))
        elif self._context.is_newer(job_id):
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
        for job_id, buffer in list(self.buffers.items()):
            if not self._context.is_newer(job_id):
                self._gather_from(job_id, buffer, batch)
        for record in self._rejected:
            batch.rejected.append(record)
            job = self._context.job(_job_id(record))
            if not self._context.is_newer(_job_id(record)) and (job is None or not takes_rows(job)):
                batch.dropped.append(record.key or b"")
        self._rejected = []
        self._taken_from.clear()
        firsts = [first for first in (self._aside.first, self.passed_over.first) if first is not None]
        batch.position = min(firsts, default=self._next)
        if batch.position == self._position and not batch.writes:
            return None
        self._position = batch.position
        self._batch = Batch(batch.position)
        return batch

    def _gather_from(self, job_id: str, buffer: RowBuffer, batch: Batch) -> None:
        """Make blocks of this job's rows, have them wait for its key, or drop its state if it takes no more of them."""
        job = self._context.job(job_id)
        if job is None or not takes_rows(job):
            del self.buffers[job_id]
            batch.states.append((job_id, None))
        elif buffer.is_waiting:
            try:
                problem = self._context.storage_problem(job, buffer.blocks)
                if problem is not None:
                    self._pass_over(job, problem, buffer)
                else:
                    self._cut(batch, job, buffer)
            except Exception as error:
                # A bug, or rows of an unforeseen kind: this one job fails, with the reason.
                log.exception(
                    "inbox: job %s: its rows can't become blocks", job_id, extra=as_event("job.stuck", job=job_id)
                )
                reason = f"its rows can't become blocks: {error!r}"[:MOST_REASON]
                self._context.given_up.give_up(job_id, reason, job.epoch)
                raise GivenUpError(f"job {job_id}: {error!r}") from error

    def _pass_over(self, job: Job, problem: str, buffer: RowBuffer) -> None:
        """Have the job's rows that are in no block yet read again, with those that come."""
        log.warning("inbox: job %s: its rows wait: %s", job.id, problem, extra=as_event("job.stuck", job=job.id))
        buffer.drop_waiting()
        self.passed_over.pass_over(job.id, problem, self._taken_from[job.id])

    def _still_passed_over(self, job_id: str) -> str | None:
        """Why the job's records are passed over further; None: they are to be taken, or refused."""
        if self._context.is_newer(job_id):
            return _NEWER
        job = self._context.job(job_id)
        if job is None or not takes_rows(job):
            return None
        buffer = self.buffers.get(job_id)
        return self._context.storage_problem(job, buffer.blocks if buffer is not None else job.input.blocks)

    def _cut(self, batch: Batch, job: Job, buffer: RowBuffer) -> None:
        blocks = buffer.cut(row_columns(self._context.datasets[job.dataset], job), self._context.limits)
        values = [self._context.encoded(replace(block, rows=Raw(packed_rows(block.rows)))) for block in blocks]
        longest = max(map(len, values))
        if longest > MOST_BLOCK_BYTES:
            raise ValueError(f"a block of {longest:,} bytes, Kafka takes {MOST_BLOCK_BYTES:,}")
        batch.blocks += [(block.block % job.partitions, block) for block in blocks]
        batch.values += values
        batch.states.append((job.id, buffer.record()))

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
            elif (intake := self._intakes.of(job_id)) is not None:
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
        intake = self._intakes.of(job_id)
        if intake is None or intake.terms.complete or intake.terms.objection(max(row.row for row in rows)) is not None:
            return False
        if any(self._context.sender_problem(record, intake.job) is not None for record in records):
            return False
        texts = intake.maker.plain_texts([row.values for row in rows])
        if texts is None:
            return False
        least = intake.maker.least_bytes
        sizes = [max(len(record.value or b""), least) for record in records]
        intake.buffer.take_all([row.row for row in rows], texts, sizes)
        self._note_taken(job_id, records[0])
        return True

    def _note_taken(self, job_id: str, record: Record) -> None:
        self._taken_from[job_id] = min(record.offset, self._taken_from.get(job_id, record.offset))

    def _set_aside(self, job_id: str, record: Record, now: float) -> bool:
        while not self._aside.has_room():
            oldest = self._aside.pop_oldest(now, self._context.is_newer)
            if oldest is None:
                return False
            reason = self._context.waited_in_vain(oldest[0])
            self._refuse(oldest[1], f"{reason}; too many rows wait like it, so it waits no longer")
        self._aside.put(job_id, record, now)
        return True

    def _take_in(self, record: Record, arrival: Arrival, intake: JobIntake) -> None:
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
                intake.buffer.take(number, texts, problem, size + len(problem) if problem else size)

    def _refuse(self, record: Record, reason: str) -> None:
        self._batch.dead_letters.append(InboxDeadLetter(record, reason[:MOST_REASON]))


def _job_id(record: RejectedRecord) -> str:
    return (record.key or b"").decode("utf-8", "replace")
