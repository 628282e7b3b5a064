"""What the followers have seen: the records of ``jobs``, ``lanes`` and ``job-events``, as far as the API needs them."""

from __future__ import annotations

import msgspec

from schemas.job import Job, LaneTotals, Phase
from schemas.messages.events import CommandRejected
from schemas.messages.lanes import LaneRecord


class LaneState(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a lane record that the API needs; it leaves out the intervals, which are large in a long job."""

    partition: int
    phase: Phase
    run: int
    totals: LaneTotals
    parked_blocks: int
    last_offset: int
    at: int
    error: str | None


class JobSeen(msgspec.Struct, frozen=True):
    """A record of ``jobs``; no job: a tombstone."""

    job_id: str
    job: Job | None
    cold: bytes | None = None
    """The job is in brief (`Brief`), and no request waits for it."""


class LaneSeen(msgspec.Struct, frozen=True):
    """A record of ``lanes``; no lane: a tombstone."""

    job_id: str
    partition: int
    phase: Phase
    lane: LaneState | None


class EventSeen(msgspec.Struct, frozen=True):
    """A record of ``job-events``: its offset, and the rejection if a request may be waiting for it."""

    job_id: str
    offset: int
    rejection: CommandRejected | None = None


class OldEventSeen(msgspec.Struct, frozen=True):
    """A record of ``job-events`` before those that the follower of the jobs reads: of a job that has ended."""

    job_id: str
    offset: int


Seen = JobSeen | LaneSeen | EventSeen | OldEventSeen


def lane_state(record: LaneRecord) -> LaneState:
    """The part of a lane record that the view keeps."""
    return LaneState(
        partition=record.partition,
        phase=record.phase,
        run=record.run,
        totals=record.totals,
        parked_blocks=sum(blocks for _, _, blocks in record.todo),
        last_offset=record.last_offset,
        at=record.at,
        error=record.error,
    )
