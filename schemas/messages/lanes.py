"""Lane records (topic ``lanes``, key: ``<job id>/<partition>``, with ``/undo`` in a rollback): lane checkpoints."""

from __future__ import annotations

import re

import msgspec

from schemas.bounds import (
    BlockNumber,
    Counter,
    JobId,
    Offset,
    Partition,
    PartitionCount,
    RowCount,
    Timestamp,
    require_intervals,
)
from schemas.job import LaneTotals, Phase


class LaneRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One job on one partition: its blocks that are done, and those to do. A lane goes on from it after a crash."""

    job_id: JobId
    partition: Partition
    partitions: PartitionCount
    """Partitions of the rows topic when the job began."""
    phase: Phase = "apply"
    run: Counter = 0
    """The run the record is about: a later run begins a lane anew."""
    totals: LaneTotals = LaneTotals()
    applied: tuple[tuple[BlockNumber, BlockNumber], ...] = ()
    """Blocks applied, as intervals (first, last) of their place in the lane: block b has place b // P."""
    todo: tuple[tuple[Offset, Offset, RowCount], ...] = ()
    """Blocks still to do, as extents of the log: (first offset, last offset, number of blocks)."""
    last_offset: Offset = -1
    """Newest offset taken into account: the same record met again is known."""
    at: Timestamp = 0
    """Milliseconds since 1970."""
    error: str | None = None
    """The last error of this lane, e.g. Elasticsearch is not answering."""

    def __post_init__(self) -> None:
        require_intervals("applied", self.applied)
        require_intervals("todo", self.todo)


class OwnerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a partition's last owner released it in order (key ``@/<partition>``, in the topic ``lanes``).

    If it did not, a request that it sent may still be on its way: its successor waits for that before it reports that a
    job has stopped.
    """

    partition: Partition
    closed: bool
    at: Timestamp
    """Milliseconds since 1970."""


_KEY = re.compile(rb"([a-z0-9][a-z0-9_-]{0,63})/(\d{1,6})(/undo)?")
OWNER_KEY = b"@/"
"""What the key of an owner record begins with; no job id does."""


def owner_key(partition: int) -> bytes:
    """The key of a partition's owner record."""
    return OWNER_KEY + str(partition).encode()


def lane_key(job_id: str, partition: int, phase: Phase) -> bytes:
    """The record's key."""
    return f"{job_id}/{partition}{'/undo' if phase == 'undo' else ''}".encode()


def lane_of_key(key: bytes | None) -> tuple[str, int, Phase] | None:
    """The job, partition and phase that a record's key names; None: it is no lane's key."""
    found = _KEY.fullmatch(key or b"")
    if found is None:
        return None
    return found[1].decode(), int(found[2]), "undo" if found[3] else "apply"
