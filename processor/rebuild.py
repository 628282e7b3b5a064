"""Makes the reports in Elasticsearch (jobs, progress, row errors) anew from the topics, which are the truth."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain

from confluent_kafka import Message

from control.jobtable import JobTable
from control.newer_states import read_history
from processor.elastic.bulk import BulkSink
from processor.erasure.expiry import Expiry
from processor.gates import unguarded
from processor.operations.row_errors import error_item
from processor.reporter import job_item, progress_item
from processor.stream.job_records import read_jobs
from runtime.clients import async_elasticsearch
from runtime.clock import now_ms
from runtime.provision import provision_indices
from runtime.settings import Settings
from runtime.topics.headers import headers_of
from runtime.topics.reading import TopicReading
from schemas.messages.codec import UndecodableError, decode
from schemas.messages.dead_letters import FIRST_WRITTEN
from schemas.messages.events import CommandRejected
from schemas.messages.progress import RowError
from schemas.topics import TopicName, topic_name

BATCH = 2000
SOURCES: tuple[TopicName, ...] = ("job-events", "progress", "dead-letters")


def rebuild(settings: Settings, on_progress: Callable[[int, int], None]) -> Counter[str]:
    """Write every report that the topics know of; answers how many documents of each, and how many could not be read.

    What is in the indices stays: a document of the same id is written over, and a job never goes back to an older
    state. `on_progress(done, total)` is told the records read so far.

    Raises:
        KafkaException: Kafka does not answer.
    """
    provision_indices(settings)
    return asyncio.run(_rebuild(settings, on_progress))


async def _rebuild(settings: Settings, on_progress: Callable[[int, int], None]) -> Counter[str]:
    counts: Counter[str] = Counter()
    reports = Reports(settings.prefix, read_jobs(settings), Expiry(settings.retentions, now_ms))
    client = async_elasticsearch(settings, once=True)
    sink = BulkSink(client)
    try:
        batch: list[bytes] = []
        for message, done, total in _records(settings):
            name, item = reports.item(message)
            counts[name] += 1
            if item is not None:
                batch.append(item)
            if len(batch) >= BATCH:
                await sink.send(batch, unguarded)
                batch = []
                on_progress(done, total)
        if batch:
            await sink.send(batch, unguarded)
        return counts
    finally:
        await client.close()


class Reports:
    """What becomes of each record of the topics, in their order."""

    def __init__(self, prefix: str, jobs: JobTable, expiry: Expiry) -> None:
        """`jobs` says of which jobs the row errors have been removed."""
        self._prefix = prefix
        self._jobs = jobs
        self._expiry = expiry
        self._corrected: set[tuple[str, int]] = set()

    def item(self, message: Message) -> tuple[str, bytes | None]:
        """What a record is counted as, and the bulk item of its document; None: it has none, or none any more."""
        topic, value = message.topic(), message.value()
        partition, offset = message.partition() or 0, message.offset() or 0
        try:
            if topic == topic_name(self._prefix, "job-events"):
                record = read_history(value)
                if isinstance(record, CommandRejected):
                    return "rejections", None
                return "jobs", job_item(self._prefix, record.job)
            if topic == topic_name(self._prefix, "progress"):
                return "progress", progress_item(self._prefix, partition, offset, value)
            headers = {name for name, _ in headers_of(message)}
            if "topic" in headers:
                return "refused", None  # no row of a job, but a record that could not be taken for one
            return self._row_error(decode(value, RowError), FIRST_WRITTEN in headers)
        except UndecodableError:
            return "unreadable", None

    def _row_error(self, error: RowError, written_again: bool) -> tuple[str, bytes | None]:
        row = (error.job_id, error.row)
        if error.corrected:
            self._corrected.add(row)
        elif row in self._corrected and written_again:
            return "errors", None  # it was written once more, behind its correction
        elif self._is_removed(error):
            return "expired", None
        return "errors", error_item(self._prefix, error)

    def _is_removed(self, error: RowError) -> bool:
        """Whether workers have removed a row error from the index, or would: dead letters may be kept for longer."""
        job = self._jobs.get(error.job_id)
        if job is None:
            oldest = self._expiry.oldest("row_errors")
            return oldest is not None and error.at < oldest
        return job.purging or job.lacks("row_errors") is not None or self._expiry.has_passed("row_errors", job)


def _records(settings: Settings) -> Iterator[tuple[Message, int, int]]:
    """Every record of the topics, from the first to the last there was when it began."""
    readings = [TopicReading(settings, topic_name(settings.prefix, name)) for name in SOURCES]
    total = sum(reading.total for reading in readings)
    for done, message in enumerate(chain.from_iterable(readings), start=1):
        yield message, done, total
