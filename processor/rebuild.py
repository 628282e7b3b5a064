"""Makes the reports in Elasticsearch (jobs, progress, row errors) anew from the topics, which are the truth."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain

from confluent_kafka import Message

from control.newer_states import read_history
from processor.elastic.bulk import BulkSink
from processor.gates import unguarded
from processor.operations.row_errors import error_item
from processor.reporter import job_item, progress_item
from runtime.clients import async_elasticsearch
from runtime.provision import provision_indices
from runtime.settings import Settings
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
    client = async_elasticsearch(settings, once=True)
    sink = BulkSink(client)
    try:
        batch: list[bytes] = []
        corrected: set[tuple[str, int]] = set()
        for message, done, total in _records(settings):
            name, item = _item(settings.prefix, message, corrected)
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


def _item(prefix: str, message: Message, corrected: set[tuple[str, int]]) -> tuple[str, bytes | None]:
    topic, value = message.topic(), message.value()
    partition, offset = message.partition() or 0, message.offset() or 0
    try:
        if topic == topic_name(prefix, "job-events"):
            record = read_history(value)
            return (
                ("rejections", None) if isinstance(record, CommandRejected) else ("jobs", job_item(prefix, record.job))
            )
        if topic == topic_name(prefix, "progress"):
            return "progress", progress_item(prefix, partition, offset, value)
        if any(name == "topic" for name, _ in message.headers() or []):
            return "refused", None  # no row of a job, but a record that could not be taken for one
        error = decode(value, RowError)
        row = (error.job_id, error.row)
        if error.corrected:
            corrected.add(row)
        elif row in corrected and any(name == FIRST_WRITTEN for name, _ in message.headers() or []):
            return "errors", None  # it was written once more, behind its correction
        return "errors", error_item(prefix, error)
    except UndecodableError:
        return "unreadable", None


def _records(settings: Settings) -> Iterator[tuple[Message, int, int]]:
    """Every record of the topics, from the first to the last there was when it began."""
    readings = [TopicReading(settings, topic_name(settings.prefix, name)) for name in SOURCES]
    total = sum(reading.total for reading in readings)
    for done, message in enumerate(chain.from_iterable(readings), start=1):
        yield message, done, total
