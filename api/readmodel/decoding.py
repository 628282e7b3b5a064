"""Records of the followed topics, as what the view takes in. Pure."""

from __future__ import annotations

import logging

import msgspec

from api.readmodel.job_index import EventSeen, JobSeen, LaneSeen, Seen, lane_state
from schemas.codec import UndecodableError, decode
from schemas.events import CommandRejected
from schemas.job import Job
from schemas.lanes import OWNER_KEY, LaneRecord, lane_of_key
from schemas.topics import topic_name

log = logging.getLogger(__name__)

_RECENT_MS = 60_000


class _Kind(msgspec.Struct, frozen=True):
    """What tells a rejection from an event; the rest is skipped unread."""

    type: str


class Decoder:
    """Decodes what is needed and no more: old events are not decoded at all, nobody waits for them."""

    def __init__(self, prefix: str, now_ms: int) -> None:
        self._jobs = topic_name(prefix, "jobs")
        self._lanes = topic_name(prefix, "lanes")
        self._recent_from = now_ms - _RECENT_MS

    def seen(
        self, topic: str, key: bytes | None, value: bytes | None, offset: int, at: int, partition: int = 0
    ) -> Seen | None:
        """What the record says; None: nothing that can be used. Whatever it is, a fault of it is logged, not raised."""
        try:
            name = (key or b"").decode()
            if topic == self._jobs:
                return job_seen(name, value)
            if topic == self._lanes:
                if name.startswith(OWNER_KEY.decode()):
                    return None  # the workers' own business
                return lane_seen(name, value)
            return EventSeen(name, offset, self._rejection(value, at))
        except (UndecodableError, ValueError) as error:
            log.warning("record at offset %s of %s, partition %s, can't be read: %s", offset, topic, partition, error)
        except Exception:
            log.exception("record at offset %s of %s, partition %s, can't be taken in", offset, topic, partition)
        return None

    def _rejection(self, value: bytes | None, at: int) -> CommandRejected | None:
        if at < self._recent_from or decode(value, _Kind).type != "rejected":
            return None
        rejection: CommandRejected = decode(value, CommandRejected)
        return rejection


def job_seen(key: str, value: bytes | None) -> JobSeen:
    """The job record under its id.

    Raises:
        UndecodableError: the value is no state of this job.
    """
    job: Job | None = None if value is None else decode(value, Job)
    if job is not None and job.id != key:
        raise UndecodableError(f"the state of job {job.id[:80]!r} lies under another key")
    return JobSeen(key, job)


def lane_seen(key: str, value: bytes | None) -> LaneSeen:
    """The lane record under a key ``<job id>/<partition>[/undo]``.

    Raises:
        UndecodableError: this is no such key, or the value is no lane record.
    """
    place = lane_of_key(key.encode())
    if place is None:
        raise UndecodableError(f"{key[:80]!r} is no key of a lane")
    lane = None if value is None else lane_state(decode(value, LaneRecord))
    return LaneSeen(*place, lane)
