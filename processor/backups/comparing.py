"""Compares what Kafka says of each job with what Elasticsearch and the storage have of it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan

from processor.backups.counts import Difference, rows_apart, without_copies
from processor.stream.job_records import read_jobs
from runtime.clients import elasticsearch
from runtime.files.sealing import JobKeys, KeyAwayError, SealError
from runtime.files.shared_folder import require_shared
from runtime.files.storage import open_storage
from runtime.settings import Settings
from runtime.topics.assigned import AssignedConsumer
from runtime.topics.reading import TopicReading
from schemas.exports import result_path
from schemas.indices import data_index, index_name
from schemas.job import ENDED, Job, State
from schemas.messages.codec import UndecodableError, decode
from schemas.messages.lanes import LaneRecord
from schemas.topics import topic_name

_PAGE = 1000
_SCANNED = 5000


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares the stores for all jobs in the control table."""

    jobs: int
    differences: list[Difference]


def compare(settings: Settings) -> Comparison:
    """Everything in which the three stores differ, as far as it can be told; jobs that move meanwhile are left out.

    Raises:
        KafkaException, elastic_transport.TransportError, elasticsearch.ApiError: a server does not answer, or refuses.
    """
    before = _jobs(settings)
    lanes = _lanes(settings)
    with elasticsearch(settings) as client:
        stored = _stored(client, settings.prefix)
        reports = _reports_from(client, settings, _end_of_commands(settings))
        now = _jobs(settings)
        still = {job_id: job for job_id, job in before.items() if job == now.get(job_id)}
        found = list(_rows_apart(client, settings.prefix, rows_apart(still, lanes, stored)))
    found += _files_lacking(settings, still.values())
    strangers = [job_id for job_id in stored if job_id not in before and job_id not in now]
    if strangers:
        known = _in_history(settings)
        found += [Difference("unknown", job_id, found=stored[job_id]) for job_id in strangers if job_id not in known]
    found += [Difference("newer_report", job_id) for job_id in reports]
    return Comparison(len(before), found)


def _jobs(settings: Settings) -> dict[str, Job]:
    table = read_jobs(settings)
    whole = (table.get(brief.id) for brief in table)
    return {job.id: job for job in whole if job is not None}


def _lanes(settings: Settings) -> dict[str, list[LaneRecord]]:
    newest: dict[bytes, LaneRecord | None] = {}
    for message in TopicReading(settings, topic_name(settings.prefix, "lanes")):
        value = message.value()
        try:
            newest[message.key() or b""] = decode(value, LaneRecord) if value else None
        except UndecodableError:
            continue  # the record of an owner, or one of which a worker has made a dead letter
    lanes: dict[str, list[LaneRecord]] = defaultdict(list)
    for lane in filter(None, newest.values()):
        lanes[lane.job_id].append(lane)
    return lanes


def _in_history(settings: Settings) -> set[str]:
    return {
        (message.key() or b"").decode("utf-8", "replace")
        for message in TopicReading(settings, topic_name(settings.prefix, "job-events"))
    }


def _end_of_commands(settings: Settings) -> int:
    """The offset of the next command."""
    reading = AssignedConsumer(settings, "reading")
    try:
        return reading.end_of(topic_name(settings.prefix, "commands"))
    finally:
        reading.close()


def _stored(client: Elasticsearch, prefix: str) -> dict[str, int]:
    """Job id -> its documents, of all datasets."""
    indices = data_index(prefix, "*")
    client.indices.refresh(index=indices)
    counts: dict[str, int] = {}
    after: dict[str, str] = {}
    while True:
        sources = [{"job": {"terms": {"field": "sluice.job_id"}}}]
        jobs = {"composite": {"size": _PAGE, "sources": sources, **({"after": after} if after else {})}}
        answer = client.search(
            index=indices, size=0, aggs={"jobs": jobs}, track_total_hits=False, allow_partial_search_results=False
        )
        page = answer.get("aggregations", {}).get("jobs", {})
        counts |= {bucket["key"]["job"]: bucket["doc_count"] for bucket in page.get("buckets", ())}
        after = page.get("after_key") or {}
        if not after:
            return counts


def _rows_apart(client: Elasticsearch, prefix: str, differences: Iterable[Difference]) -> Iterator[Difference]:
    """The differences, without the copies of documents that other programs have made."""
    for one in differences:
        if one.kind != "more":
            yield one
            continue
        query = {"query": {"term": {"sluice.job_id": one.job_id}}, "_source": False}
        hits = scan(client, index=data_index(prefix, "*"), query=query, size=_SCANNED)
        rest = without_copies(one, (hit["_id"] for hit in hits))
        if rest is not None:
            yield rest


def _reports_from(client: Elasticsearch, settings: Settings, offset: int) -> list[str]:
    """The jobs whose report says of a command that Kafka does not have: it never goes back to an older one."""
    later = {"range": {"command_offset": {"gte": offset}}}
    index = index_name(settings.prefix, "jobs")
    found = client.search(index=index, query=later, size=_PAGE, source=False, allow_partial_search_results=False)
    return [hit["_id"] for hit in found["hits"]["hits"]]


def _files_lacking(settings: Settings, jobs: Collection[Job]) -> Iterator[Difference]:
    """Jobs of which the storage lacks a file that is still needed. Raises StorageAwayError: it can't be looked at."""
    keys = JobKeys(settings.storage_root)
    for job in jobs:
        if job.phase != "apply" or job.state in ENDED or job.state is State.DRAFT:
            continue
        path = job.source.path if job.source.kind == "file" else None
        if path and not job.input.ended and not Path(settings.storage_root, path).exists():
            require_shared(settings.storage_root)
            yield Difference("no_file", job.id, job)
        if job.sealed and job.input.blocks:
            try:
                keys.find(job.id)
            except KeyAwayError:
                raise
            except SealError:
                yield Difference("no_key", job.id, job)
    yield from asyncio.run(_results_lacking(settings, jobs))


async def _results_lacking(settings: Settings, jobs: Iterable[Job]) -> list[Difference]:
    results = open_storage(settings)
    return [
        Difference("no_result", job.id, job)
        for job in jobs
        if job.operation == "export" and job.state is State.COMPLETED and job.lacks("results") is None
        if not job.options.dry_run and await results.find(result_path(job.id)) is None
    ]
