"""Takes records of the control table into a worker's `JobTable`, many at once where they come so fast."""

from __future__ import annotations

from control.jobtable import JobTable
from runtime.settings import Settings
from runtime.topics.reading import TopicReading
from schemas.messages.codec import UndecodableError
from schemas.messages.dead_letters import RejectedRecord
from schemas.topics import topic_name

_UNREAD = 2000
"""Records that wait to be decoded at the start, at most."""


def _looks_like_a_state(key: bytes | None, value: bytes | None) -> bool:
    """Whether a record of the control table is surely no dead letter, as far as a glance at it tells."""
    return value is None or (value.startswith(b'{"id":"' + (key or b"") + b'"') and value.endswith(b"}"))


class JobRecords:
    """Most states are replaced by a later one, and need not be decoded. For one thread at a time."""

    def __init__(self, jobs: JobTable, topic: str) -> None:
        """`topic`: the table's full name."""
        self._jobs = jobs
        self._topic = topic
        self._unread: dict[bytes | None, tuple[int, bytes | None]] = {}
        self._rejected: list[RejectedRecord] = []
        self.next = 0
        """The offset behind the newest record that was taken."""

    def take(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take a record. It is in the table after the next `apply`, if none of the same job comes until then."""
        if offset < self.next:
            return  # it has been taken before
        before = self._unread.get(key)
        if before is not None and not _looks_like_a_state(key, before[1]):
            self.apply()  # a dead letter is to be made of it
        self._unread[key] = offset, value
        self.next = offset + 1
        if len(self._unread) >= _UNREAD:
            self.apply()

    def apply(self) -> None:
        """Bring the table up to date."""
        unread, self._unread = self._unread, {}
        for key, (offset, value) in unread.items():
            try:
                self._jobs.apply(key, value)
            except UndecodableError as error:
                self._rejected.append(RejectedRecord(self._topic, 0, offset, key, value, str(error)))

    def rejected(self) -> list[RejectedRecord]:
        """The records that could not be read since this was last asked."""
        found, self._rejected = self._rejected, []
        return found


def read_jobs(settings: Settings) -> JobTable:
    """The control table up to the end that it has now, for a command. Records that can't be read are left out: a worker
    makes dead letters of them.

    Raises:
        KafkaException: Kafka does not answer, or the topic is not there.
    """
    jobs, topic = JobTable(), topic_name(settings.prefix, "jobs")
    records = JobRecords(jobs, topic)
    for record in TopicReading(settings, topic):
        records.take(record.offset() or 0, record.key(), record.value())
    records.apply()
    return jobs
