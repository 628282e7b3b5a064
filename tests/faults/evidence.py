"""What really happened: read from Elasticsearch and from the raw topics, never from what a job says of itself."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from elasticsearch import Elasticsearch

from runtime.clients import librdkafka_config
from runtime.files.sealing import JobKeys
from runtime.files.sealing import opened as unsealed
from runtime.settings import Settings
from schemas.indices import data_index
from schemas.messages.blocks import Block, BlockHead, RowBlock
from schemas.messages.codec import UndecodableError, decode
from schemas.messages.events import CommandRejected, History
from schemas.messages.formats import FORMAT_HEADER
from schemas.messages.progress import RowError
from schemas.topics import TopicName, topic_name
from tests.support.processes.cluster import Cluster
from tests.support.waiting import PATIENCE, elasticsearch
from verify.compare import compare
from verify.topic_records import messages, records

LOOKS = 40
"""Refreshes and counts that show that nothing moves: they take about a second."""


def milliseconds(iso: str) -> int:
    """An ISO 8601 time as milliseconds since 1970."""
    return round(datetime.fromisoformat(iso).timestamp() * 1000)


def assert_loaded(cluster: Cluster, job_id: str, file: Path) -> None:
    """Every row of the file is a document or a row error, once, with its values; topic and job say the same."""
    settings = cluster.settings
    verdict = compare(settings, job_id, "people", file)
    assert verdict.holds, f"{verdict}\n{cluster.events(job_id)}"
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    job = cluster.job(job_id)
    assert rows_on_topic(settings, job_id, milliseconds(job["created_at"]) - 1000) == rows
    progress = job["progress"]
    assert progress["rows_total"] == progress["rows_read"] == len(rows)
    assert (progress["rows_applied"], progress["rows_failed"]) == (verdict.documents, verdict.errors)


def opened(settings: Settings, value: bytes) -> Block:
    """The block in a record, with the rows in it."""
    return unsealed(value, JobKeys(settings.storage_root).find)[0]


def rows_on_topic(settings: Settings, job_id: str, since_ms: int = 0) -> list[list[str]]:
    """The rows of a job's blocks, whose numbers must run from 1 without gaps; a block's repeats must be the same."""
    blocks: dict[int, bytes] = {}
    for partition, _, value in records(settings, "rows", since_ms):
        try:
            head = decode(value, BlockHead)
        except UndecodableError:
            continue  # of a test that puts odd records on the topic
        if head.job_id == job_id and head.kind in ("rows", "sealed"):
            assert partition == head.block % settings.topic_partitions
            assert blocks.setdefault(head.block, value) == value, f"block {head.block} was published in two forms"
    rows: list[list[str]] = []
    assert sorted(blocks) == list(range(len(blocks)))
    for _, value in sorted(blocks.items()):
        block = opened(settings, value)
        assert isinstance(block, RowBlock)
        assert block.first_row == len(rows) + 1
        rows += block.rows
    return rows


def published(settings: Settings, topic: TopicName) -> int:
    """How many records a topic has."""
    name = topic_name(settings.prefix, topic)
    consumer = Consumer(librdkafka_config(settings, group_id="evidence"))
    try:
        partitions = consumer.list_topics(name, timeout=PATIENCE).topics[name].partitions
        return sum(
            consumer.get_watermark_offsets(TopicPartition(name, number), timeout=PATIENCE)[1] for number in partitions
        )
    finally:
        consumer.close()


def rejections(settings: Settings) -> list[CommandRejected]:
    """Every refused command, in order."""
    found = [decode(value, History) for _, _, value in records(settings, "job-events")]
    return [record for record in found if isinstance(record, CommandRejected)]


def dead_rows(settings: Settings, job_id: str) -> set[int]:
    """The numbers of a job's rows on the topic of dead letters, records that were refused left out."""
    keyed = (value for _, key, value in records(settings, "dead-letters") if key == job_id.encode())
    return {decode(value, RowError).row for value in keyed if b'"reason"' in value}


def dead_headers(settings: Settings, job_id: str) -> dict[int, dict[str, str]]:
    """What the headers of a job's dead letters say, by row."""
    found = [
        dict(record.headers() or []) for record in messages(settings, "dead-letters") if record.key() == job_id.encode()
    ]
    told = [{name: text.decode() for name, text in headers.items() if name != FORMAT_HEADER} for headers in found]
    return {int(headers.pop("row")): headers for headers in told}


def count(settings: Settings, job_id: str) -> int:
    """How many documents of a job Elasticsearch has now."""
    with elasticsearch(settings) as client:
        return _count(client, settings, job_id)


def _count(client: Elasticsearch, settings: Settings, job_id: str) -> int:
    index = data_index(settings.prefix, "people")
    client.indices.refresh(index=index)
    return int(client.count(index=index, query={"term": {"sluice.job_id": job_id}})["count"])


def assert_still(settings: Settings, job_id: str, written: int) -> None:
    """No document of the job comes or goes while we look, again and again."""
    with elasticsearch(settings) as client:
        seen = [_count(client, settings, job_id) for _ in range(LOOKS)]
    assert seen == [written] * LOOKS


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


def assert_each_row_once(cluster: Cluster, job_id: str, rows: int) -> None:
    """The job's blocks, those of aborted transactions left out, have every row once, and are numbered without gaps."""
    blocks = [(value, decode(value, Block)) for _, _, value in records(cluster.settings, "rows")]
    own = [opened(cluster.settings, value) for value, block in blocks if block.job_id == job_id]
    own.sort(key=lambda block: block.block)
    assert [block.block for block in own] == list(range(len(own)))
    found = sorted(row for block in own for row in range(block.first_row, block.last_row + 1))
    assert found == list(range(1, rows + 1))
