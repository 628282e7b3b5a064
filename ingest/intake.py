"""One partition of the inbox: records in, and what one transaction is to write of them. Pure.

Each job has a home partition. A record that lies on another one, because its sender hashes keys in another way, is
moved there first: so one job's rows meet in one place, where a number that comes twice is noticed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from aiokafka.partitioner import murmur2

from ingest.admittance import Terms, takes_rows, terms_of, unknown_job
from ingest.cutter import Limits
from ingest.fill import Fill
from ingest.inbox_rows import Arrival, RowMaker, read_record
from schemas.blocks import RowBlock
from schemas.codec import UndecodableError
from schemas.datasets import Dataset
from schemas.inbox import InboxRecord
from schemas.job import Job

MOST_BYTES = 1_000_000
"""A record has, at most, so that it can be moved to another partition: topics take a little more by default."""
_UNKNOWN_JOBS = 10_000


@lru_cache(maxsize=65_536)
def home_partition(job_id: str, partitions: int) -> int:
    """The partition of the inbox on which a job's rows meet: the one that Java's client would choose for its key."""
    return int((murmur2(job_id.encode()) & 0x7FFFFFFF) % partitions)


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the inbox."""

    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Letter:
    """A record that is refused, and why."""

    record: Record
    reason: str


@dataclass(slots=True)
class Batch:
    """What one transaction writes about one partition. It counts as a whole or not at all."""

    position: int
    """Offset of the first record that is not part of it."""
    blocks: list[tuple[int, RowBlock]] = field(default_factory=list)
    """Partition of the rows topic, block."""
    states: list[tuple[str, InboxRecord | None]] = field(default_factory=list)
    """Job id, checkpoint; None: it is not needed any more."""
    letters: list[Letter] = field(default_factory=list)
    moved: list[tuple[int, str, Record]] = field(default_factory=list)
    """Partition of the inbox, job id, record."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a partition's work needs to know."""

    job: Callable[[str], Job | None]
    datasets: Mapping[str, Dataset]
    limits: Limits
    unknown_job_seconds: float
    """How long a row may be ahead of its job. A row that waits for its job holds up what lies behind it."""
    partitions: int
    """Partitions of the inbox."""


@dataclass(frozen=True, slots=True)
class _Desk:
    """What one job's rows need, looked up once a turn."""

    terms: Terms
    maker: RowMaker
    fill: Fill


class Intake:
    """A partition from its assignment to its revocation. What it has in memory the topic has too: it may be dropped."""

    def __init__(self, partition: int, position: int, states: Iterable[InboxRecord], around: Surroundings) -> None:
        """`states`: the newest of each job whose home the partition is; `position`: the committed offset."""
        self.partition = partition
        self.fills = {state.job_id: Fill(state) for state in states}
        self._around = around
        self._backlog: deque[Record] = deque()
        self._unknown: dict[str, float] = {}
        self._desks: dict[str, _Desk | None] = {}
        self._batch = Batch(position)
        self._position = position

    @property
    def backlog(self) -> int:
        """Records that have come and are not dealt with."""
        return len(self._backlog)

    def come(self, record: Record) -> None:
        """A record has come; they come in the order of their offsets."""
        self._backlog.append(record)

    def work(self, now: float) -> None:
        """Deal with what has come, up to the first row whose job may still be made; `now` is any steady clock's."""
        self._desks.clear()
        backlog = self._backlog
        while backlog:
            record = backlog[0]
            try:
                if len(record.value or b"") > MOST_BYTES:
                    raise UndecodableError(f"a record is at most {MOST_BYTES:,} bytes")
                arrival = read_record(record.value, self._around.limits.bytes)
            except UndecodableError as error:
                self._batch.letters.append(Letter(record, str(error)))
            else:
                if not self._deal_with(record, arrival, now):
                    return
            backlog.popleft()
            self._batch.position = record.offset + 1

    def gather(self) -> Batch | None:
        """What is to be written; None: nothing has happened. Whoever asks writes it, or drops this intake."""
        batch, around = self._batch, self._around
        for job_id, fill in list(self.fills.items()):
            job = around.job(job_id)
            if job is None or not takes_rows(job):
                del self.fills[job_id]
                batch.states.append((job_id, None))
            elif fill.is_waiting:
                blocks = fill.cut(around.datasets[job.dataset].columns, around.limits)
                batch.blocks += [(block.block % job.partitions, block) for block in blocks]
                batch.states.append((job_id, fill.record()))
        if batch.position == self._position and not batch.states:
            return None
        self._position = batch.position
        self._batch = Batch(batch.position)
        return batch

    def _deal_with(self, record: Record, arrival: Arrival, now: float) -> bool:
        """Take in a record's rows; False: their job may still be made."""
        job_id = arrival.job_id
        home = home_partition(job_id, self._around.partitions)
        if home != self.partition:
            self._batch.moved.append((home, job_id, record))
            return True
        desk = self._desks[job_id] if job_id in self._desks else self._look_up(job_id)
        if desk is None:
            return self._unknown_job(record, job_id, now)
        objection = None
        size = len(record.value or b"") // (1 if isinstance(arrival.values, Mapping) else len(arrival.values))
        for number, values in arrival.rows():
            objection = desk.terms.objection(number)
            if objection is not None:
                break
            if not desk.terms.complete:
                texts, problem = desk.maker.texts(values)
                desk.fill.take(number, texts, arrival.problem or problem, size)
        if objection is not None:
            self._batch.letters.append(Letter(record, objection))
        return True

    def _look_up(self, job_id: str) -> _Desk | None:
        job = self._around.job(job_id)
        desk = None
        if job is not None:
            terms, fill = terms_of(job), self.fills.get(job_id) or Fill(InboxRecord(job_id=job_id))
            dataset = self._around.datasets.get(job.dataset)
            if dataset is None:
                terms = Terms(f"the dataset {job.dataset!r} of job {job_id} is not known here")
            elif fill.is_torn and terms.refusal is None:
                terms = Terms(f"the rows of job {job_id} come too far out of order")
            elif terms.refusal is None and not terms.complete:
                self.fills[job_id] = fill
            desk = _Desk(terms, RowMaker(dataset.columns if dataset else ("",)), fill)
            self._unknown.pop(job_id, None)
        self._desks[job_id] = desk
        return desk

    def _unknown_job(self, record: Record, job_id: str, now: float) -> bool:
        if len(self._unknown) > _UNKNOWN_JOBS:
            self._unknown.clear()
        patience = self._around.unknown_job_seconds
        if now - self._unknown.setdefault(job_id, now) < patience:
            return False
        self._batch.letters.append(Letter(record, unknown_job(job_id, patience)))
        return True
