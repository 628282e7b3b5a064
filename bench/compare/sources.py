"""The same rows as a file, as a topic of single rows and as a topic of blocks, for each size; made once a run."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from runtime.clients import librdkafka_config
from runtime.settings import Settings
from sample_csv.cli import sample
from sample_csv.datasets import Dataset
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import encode
from schemas.messages.inbox import InboxRow

BLOCK_ROWS: Final = 500
SEED: Final = 7
_JOB: Final = "bench"


@dataclass(frozen=True, slots=True)
class Source:
    """Some rows in all their forms."""

    rows: int
    blocks: int
    file: Path
    rows_topic: str
    blocks_topic: str

    def topic(self, kind: str) -> str:
        """The topic of "rows" or "blocks"; of a "file" there is none."""
        return {"rows": self.rows_topic, "blocks": self.blocks_topic}.get(kind, "")


def make(config: Settings, rows: int) -> Source:
    """Make the file, and fill both topics."""
    file = config.home / f"people-{rows}.csv"
    sample(Dataset.PEOPLE, rows, file, SEED)
    source = Source(rows, -(-rows // BLOCK_ROWS), file, f"bench-rows-{rows}", f"bench-blocks-{rows}")
    topics = [NewTopic(name, config.topic_partitions, 1) for name in (source.rows_topic, source.blocks_topic)]
    admin = AdminClient(librdkafka_config(config))  # its answers end with it
    for done in admin.create_topics(topics).values():
        done.result()
    producer = Producer(
        librdkafka_config(config, linger_ms=50, compression_type="lz4", queue_buffering_max_messages=10_000_000)
    )
    for block in _blocks(file):
        producer.produce(source.blocks_topic, encode(block), partition=block.block % config.topic_partitions)
        for number, values in enumerate(block.rows, start=block.first_row):
            row = InboxRow(job_id=_JOB, row=number, values=dict(zip(block.columns, values, strict=True)))
            producer.produce(source.rows_topic, encode(row), _JOB.encode())
    assert producer.flush(120) == 0, "Kafka has not confirmed all records of the sources"
    return source


def _blocks(file: Path) -> Iterator[RowBlock]:
    with file.open(encoding="utf-8", newline="") as text:
        reader = csv.reader(text)
        columns, number = next(reader), 0
        while rows := list(islice(reader, BLOCK_ROWS)):
            first = number * BLOCK_ROWS + 1
            yield RowBlock(job_id=_JOB, block=number, first_row=first, columns=columns, rows=rows, first_line=first + 1)
            number += 1
