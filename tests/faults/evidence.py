"""What really happened: read from Elasticsearch and from the raw topics, never from what a job says of itself."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from devstack.oracle import compare
from runtime.clients import elasticsearch, librdkafka_config
from runtime.settings import Settings
from schemas.blocks import Block, RowBlock
from schemas.codec import decode
from schemas.events import CommandRejected, History
from schemas.indices import data_index
from schemas.progress import RowError
from schemas.topics import TopicName, topic_name
from tests.cluster import Cluster


def assert_loaded(cluster: Cluster, job_id: str, file: Path) -> None:
    """Every row of the file is a document or a row error, once, with its values; topic and job say the same."""
    settings = cluster.settings
    verdict = compare(settings, job_id, "people", file)
    assert verdict.holds, f"{verdict}\n{cluster.events(job_id)}"
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    assert rows_on_topic(settings, job_id) == rows
    progress = cluster.job(job_id)["progress"]
    assert progress["rows_total"] == progress["rows_read"] == len(rows)
    assert (progress["rows_applied"], progress["rows_failed"]) == (verdict.documents, verdict.errors)


def rows_on_topic(settings: Settings, job_id: str) -> list[list[str]]:
    """The rows of a job's blocks, whose numbers must run from 1 without gaps; a block's repeats must be the same."""
    blocks: dict[int, bytes] = {}
    for partition, _, value in records(settings, "rows"):
        block = decode(value, Block)
        if block.job_id == job_id and isinstance(block, RowBlock):
            assert partition == block.block % settings.topic_partitions
            assert blocks.setdefault(block.block, value) == value, f"block {block.block} was published in two forms"
    rows: list[list[str]] = []
    assert sorted(blocks) == list(range(len(blocks)))
    for _, value in sorted(blocks.items()):
        block = decode(value, RowBlock)
        assert block.first_row == len(rows) + 1
        rows += block.rows
    return rows


def records(settings: Settings, topic: TopicName) -> Iterator[tuple[int, bytes, bytes]]:
    """Every record of a topic as it is now: (partition, key, value)."""
    name = topic_name(settings.prefix, topic)
    consumer = Consumer(librdkafka_config(settings, group_id="evidence", enable_auto_commit=False))
    count = len(AdminClient(librdkafka_config(settings)).list_topics(name, timeout=10).topics[name].partitions)
    ends: dict[int, int] = {}
    for partition in range(count):
        _, end = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=10)
        if end:
            ends[partition] = end
    consumer.assign([TopicPartition(name, partition, 0) for partition in ends])
    while ends:
        found = consumer.consume(1000, 10)
        assert found, f"{name} can't be read to its end: {ends}"
        for record in found:
            assert record.error() is None, record.error()
            yield record.partition(), record.key() or b"", record.value() or b""
            if record.offset() + 1 >= ends.get(record.partition(), 0):
                ends.pop(record.partition(), None)
    consumer.close()


def rejections(settings: Settings) -> list[CommandRejected]:
    """Every refused command, in order."""
    found = [decode(value, History) for _, _, value in records(settings, "job-events")]
    return [record for record in found if isinstance(record, CommandRejected)]


def dead_rows(settings: Settings, job_id: str) -> set[int]:
    """The numbers of a job's rows on the topic of dead letters."""
    keyed = (value for _, key, value in records(settings, "dead-letters") if key == job_id.encode())
    return {decode(value, RowError).row for value in keyed}


def count(settings: Settings, job_id: str) -> int:
    """How many documents of a job Elasticsearch has now."""
    index = data_index(settings.prefix, "people")
    with elasticsearch(settings) as client:
        client.indices.refresh(index=index)
        return int(client.count(index=index, query={"term": {"sluice.job_id": job_id}})["count"])


def documents(settings: Settings, job_id: str) -> dict[str, Any]:
    """Every document of a job, with the numbers of its last change: id -> (version, sequence number, source)."""
    index = data_index(settings.prefix, "people")
    found: dict[str, Any] = {}
    with elasticsearch(settings) as client:
        client.indices.refresh(index=index)
        after = None
        while True:
            hits = client.search(
                index=index,
                query={"term": {"sluice.job_id": job_id}},
                sort=[{"sluice.row_number": "asc"}],
                size=5000,
                search_after=after,
                version=True,
                seq_no_primary_term=True,
            )["hits"]["hits"]
            if not hits:
                return found
            found |= {hit["_id"]: (hit["_version"], hit["_seq_no"], hit["_source"]) for hit in hits}
            after = hits[-1]["sort"]
