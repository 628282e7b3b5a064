"""Follows the topics ``jobs``, ``lanes`` and ``job-events`` for the view.

``job-events`` keeps the history of every job there ever was. At the start the view needs that of the jobs that have not
ended: it is read from the time on at which the oldest of these was made, but from no earlier time than ended jobs stay
in the table, as jobs that have failed or are paused may be of any age. What lies before, as far as the view knows its
jobs, `OlderHistory` reads afterwards, while the API serves already.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Final

from confluent_kafka import TopicPartition

from api.readmodel.following.decoding import Decoder
from api.readmodel.following.follower import MARGIN_MS, Followed, Follower, Later, hand_over, small_consumer
from api.readmodel.job_feed import JobFeed
from api.readmodel.seen import JobSeen, OldEventSeen, Seen
from runtime.clients import KAFKA_ANSWER_SECONDS
from runtime.clock import now_ms
from runtime.process import return_freed_memory
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from runtime.topics.assigned import AssignedConsumer
from schemas.job import ENDED
from schemas.topics import DAY_MS, topic_name

log = logging.getLogger(__name__)

_BATCH: Final = 1000
_BREATH_SECONDS: Final = 0.005
_RETRY_SECONDS: Final = 1.0
_SILENT_SECONDS: Final = 30.0


def job_follower(
    settings: Settings,
    loop: asyncio.AbstractEventLoop,
    deliver: Callable[[list[Seen]], None],
    caught_up: Callable[[], None],
    starting: Callable[[], bool] = lambda: False,
    read_since: int = 0,
) -> Follower:
    """The follower; see Followed for its arguments, and Decoder for `starting`. `read_since`: milliseconds since 1970,
    see `history_read_since`."""
    return Follower(
        settings,
        loop,
        [
            Followed(
                ("job-events", "jobs", "lanes"),
                lambda: Decoder(settings.prefix, now_ms(), starting).seen,
                deliver,
                caught_up,
                compacted=("jobs", "lanes"),
            )
        ],
        later=Later("job-events", lambda seen: _needed_since(seen, read_since)),
    )


def history_read_since(settings: Settings, now: int) -> int:
    """The time from which on histories are read before the API serves, at most; both in milliseconds since 1970."""
    return max(0, now - int(settings.job_retention_days * DAY_MS))


def _needed_since(seen: Seen, read_since: int) -> tuple[str, int | None] | None:
    """The time from which on a job's history is needed at once: none of it is, if the job has ended."""
    if not isinstance(seen, JobSeen):
        return None
    if seen.job is None or seen.job.state in ENDED:
        return seen.job_id, None
    return seen.job_id, max(seen.job.created_at, read_since)


class OlderHistory:
    """A thread that notes where the history of jobs that have ended lies, and of those that are older than what the
    follower reads."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop, feed: JobFeed) -> None:
        self._settings = settings
        self._loop = loop
        self._feed = feed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="older history", daemon=True)

    def start(self) -> None:
        """Begin, once the view has caught up; called in the event loop."""
        self._since = min((job.created_at for job in self._feed.view.jobs.values()), default=None)
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; blocks for up to two seconds."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=2)

    def _run(self) -> None:
        return_freed_memory()  # of the start
        while self._since is not None and not self._stopping.is_set():
            reading = small_consumer(self._settings)
            try:
                self._read(reading, self._since)
                break
            except Exception as error:
                # Reading again from the beginning is idempotent.
                log.warning("reading the history failed, trying again: %s", error, extra=as_event("kafka.trouble"))
                self._stopping.wait(_RETRY_SECONDS)
            finally:
                reading.close()
        return_freed_memory()
        if not self._stopping.is_set():
            self._loop.call_soon_threadsafe(self._feed.set_history_complete)

    def _read(self, reading: AssignedConsumer, since: int) -> None:
        topic = topic_name(self._settings.prefix, "job-events")
        end = TopicPartition(topic, 0, reading.end_of(topic))
        asked = TopicPartition(topic, 0, max(0, since - MARGIN_MS))
        (first,) = reading.consumer.offsets_for_times([asked], timeout=KAFKA_ANSWER_SECONDS)
        if first.offset < 0 or first.offset >= end.offset:
            return
        reading.assign([first])
        for records in reading.read_to([end], _BATCH, _SILENT_SECONDS, self._stopping.is_set):
            found: list[Seen] = [
                OldEventSeen((record.key() or b"").decode("utf-8", "replace"), record.offset() or 0)
                for record in records
            ]
            hand_over(self._loop, self._feed.take, found, self._stopping)
            self._stopping.wait(_BREATH_SECONDS)  # requests go first
