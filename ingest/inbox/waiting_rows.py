"""Records of the inbox whose job is not known yet: they wait, and hold up no other record. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from control.authorization.senders import Headers, kept_headers
from runtime.topics.headers import headers_of

MOST_RECORDS = 100_000
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of memory, about, with what Python adds to each record."""
GRACE_SECONDS = 5.0
"""A record keeps its place at least this long. While all records are younger, the reader fetches no more: it loses no
row of a job that is just being made, however many come."""
_RECORD_BYTES = 250


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record of the inbox. There is one for each row: a struct is made in a tenth of a dataclass's time."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    """What `kept_headers` leaves of them: so a record that is moved is hardly longer than its value."""
    at: int = 0
    """When Kafka took it in, milliseconds since 1970, if there are headers: a signature may be old."""

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        headers = sum(len(name) + len(value) for name, value in self.headers) if self.headers else 0
        return len(self.value or b"") + len(self.key or b"") + headers + _RECORD_BYTES


def record_of(message: Any) -> Record:
    """What the reader keeps of a message of confluent-kafka."""
    found = headers_of(message)
    headers, at = (kept_headers(found), message.timestamp()[1]) if found else ((), 0)
    return Record(message.offset(), message.key(), message.value(), headers, at)


class Aside:
    """The waiting records of one partition. Each may wait for the same time from its arrival on: waits never add up."""

    def __init__(self, patience: float) -> None:
        """`patience`: seconds that a record waits for its job."""
        self._patience = patience
        self._records: OrderedDict[int, tuple[str, Record, float]] = OrderedDict()  # by offset, which is by arrival
        self._jobs: dict[str, deque[int]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def first(self) -> int | None:
        """The lowest offset; None: there is none."""
        return next(iter(self._records), None)

    def jobs(self) -> list[str]:
        """The jobs whose records wait."""
        return list(self._jobs)

    def has_room(self) -> bool:
        """Whether one more may be put in."""
        return len(self._records) < MOST_RECORDS and self._bytes < MOST_BYTES

    def put(self, job_id: str, record: Record, now: float) -> None:
        """Add a record that has come `now`; its offset is higher than those of all others."""
        self._records[record.offset] = (job_id, record, now)
        self._jobs.setdefault(job_id, deque()).append(record.offset)
        self._bytes += record.size

    def take(self, job_id: str) -> list[Record]:
        """Take out the records of this job, in the order of their offsets."""
        taken = [self._records.pop(offset)[1] for offset in self._jobs.pop(job_id)]
        self._bytes -= sum(record.size for record in taken)
        return taken

    def overdue(self, now: float, kept: Callable[[str], bool]) -> Iterator[tuple[str, Record]]:
        """Take out the records that have waited in vain, each with its job. Jobs that are `kept` wait for ever."""
        if not self._records or now - self._oldest_arrival < self._patience:
            return
        for job_id in [job_id for job_id in self._jobs if not kept(job_id)]:
            while (offsets := self._jobs.get(job_id)) and now - self._records[offsets[0]][2] >= self._patience:
                yield self._pop(offsets[0])

    def pop_oldest(self, now: float, kept: Callable[[str], bool]) -> tuple[str, Record] | None:
        """Take out the record that has waited longest, to make room; None: it has not waited long enough for that, or
        its job is `kept`."""
        offset = next(iter(self._records))
        if now - self._oldest_arrival < min(GRACE_SECONDS, self._patience) or kept(self._records[offset][0]):
            return None
        return self._pop(offset)

    @property
    def _oldest_arrival(self) -> float:
        return self._records[next(iter(self._records))][2]

    def _pop(self, offset: int) -> tuple[str, Record]:
        job_id, record, _ = self._records.pop(offset)
        offsets = self._jobs[job_id]
        assert offsets.popleft() == offset
        if not offsets:
            del self._jobs[job_id]
        self._bytes -= record.size
        return job_id, record
