"""Decodes the records of the followed topics for the view. Pure."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from api.readmodel.seen import EventSeen, JobSeen, LaneSeen, Seen, lane_state
from control.jobtable import read_record
from control.memory.brief_jobs import Shared
from runtime.telemetry.log_events import as_event
from runtime.topics.unreadable import log_unreadable
from schemas.job import Job
from schemas.messages.codec import UndecodableError, decode
from schemas.messages.events import CommandRejected
from schemas.messages.lanes import OWNER_KEY, LaneRecord, lane_of_key
from schemas.topics import topic_name

log = logging.getLogger(__name__)

_RECENT_MS = 60_000


class _Kind(msgspec.Struct, frozen=True):
    """The field that distinguishes a rejection from an event; msgspec skips the others."""

    type: str


class Decoder:
    """Decodes only what the view needs: of events only recent rejections, for which a request may be waiting."""

    def __init__(self, prefix: str, now_ms: int, starting: Callable[[], bool] = lambda: False) -> None:
        """`starting`: whether the view has not caught up yet, so that no request waits for any job."""
        self._jobs = topic_name(prefix, "jobs")
        self._lanes = topic_name(prefix, "lanes")
        self._recent_from = now_ms - _RECENT_MS
        self._starting = starting
        self._shared = Shared()

    def seen(
        self, topic: str, key: bytes | None, value: bytes | None, offset: int, at: int, partition: int
    ) -> Seen | None:
        """The decoded record; None: the view has no use for it, or it can't be read. Errors are logged, not raised."""
        try:
            if topic == self._jobs:
                return self._job_seen(*read_record(key, value))
            name = (key or b"").decode()
            if topic == self._lanes:
                if name.startswith(OWNER_KEY.decode()):
                    return None  # an OwnerRecord, which only workers read
                return lane_seen(name, value)
            return EventSeen(name, offset, self._rejection(value, at))
        except (UndecodableError, ValueError) as error:
            place = f"{topic}, partition {partition},"
            log_unreadable(log, place, offset, error, as_event("record.unreadable", partition=partition))
        except Exception:
            log.exception(
                "record at offset %s of %s, partition %s, can't be taken in",
                offset,
                topic,
                partition,
                extra=as_event("record.unreadable", partition=partition),
            )
        return None

    def _job_seen(self, job_id: str, job: Job | None) -> JobSeen:
        # The event loop is to have little to do with each of very many jobs.
        brief = self._shared.brief(job) if job is not None and self._starting() else None
        return JobSeen(job_id, job) if brief is None else JobSeen(brief.job.id, *brief)

    def _rejection(self, value: bytes | None, at: int) -> CommandRejected | None:
        if at < self._recent_from or decode(value, _Kind).type != "rejected":
            return None
        rejection: CommandRejected = decode(value, CommandRejected)
        return rejection


def lane_seen(key: str, value: bytes | None) -> LaneSeen:
    """The lane record under a key ``<job id>/<partition>[/undo]``.

    Raises:
        UndecodableError: the key has another form, or the value is no lane record.
    """
    place = lane_of_key(key.encode())
    if place is None:
        raise UndecodableError(f"{key[:80]!r} is no key of a lane")
    lane = None if value is None else lane_state(decode(value, LaneRecord))
    return LaneSeen(*place, lane)
