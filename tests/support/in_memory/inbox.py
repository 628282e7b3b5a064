"""Jobs and records for the tests of an inbox's partition."""

from __future__ import annotations

import json

from msgspec.structs import replace

from csvfile.cutter import Limits
from ingest.inbox.batch import Batch
from ingest.inbox.intake import InboxContext
from ingest.inbox.partition import InboxPartition
from ingest.inbox.waiting_rows import Record
from runtime.datasets import load_datasets
from schemas.job import Job, Source, State
from schemas.messages.blocks import RowBlock
from schemas.messages.inbox import InboxRecord

PARTITIONS = 2
PATIENCE = 10.0
DATASETS = load_datasets()
COLUMNS = DATASETS["people"].columns
LIMITS = Limits(rows=3, bytes=4096)


def job(job_id: str = "j1", **more: object) -> Job:
    known = Job(
        id=job_id,
        operation="upload",
        dataset="people",
        organisation="acme",
        created_by="ada",
        state=State.RUNNING,
        created_at=0,
        command_offset=1,
        partitions=PARTITIONS,
        source=Source(kind="topic"),
    )
    return replace(known, **more)


def record(offset: int, row: object, job_id: str = "j1", **more: object) -> Record:
    value = {"job_id": job_id, "row": row, "values": {name: f"{name} {row}" for name in COLUMNS}} | more
    return Record(offset, job_id.encode(), json.dumps(value).encode())


def around(*jobs: Job, partitions: int = 1, limits: Limits = LIMITS) -> InboxContext:
    return InboxContext({job.id: job for job in jobs}.get, DATASETS, limits, PATIENCE, partitions)


def inbox_partition(*jobs: Job, states: tuple[InboxRecord, ...] = (), limits: Limits = LIMITS) -> InboxPartition:
    return InboxPartition(0, 0, states, around(*jobs, limits=limits))


def batch_of(taker: InboxPartition, *records: Record, now: float = 0) -> Batch:
    for item in records:
        taker.come(item)
    taker.work(now)
    return taker.gather() or Batch(-1)


def numbers(blocks: list[tuple[int, RowBlock]]) -> list[list[int]]:
    return [list(range(block.first_row, block.last_row + 1)) for _, block in blocks]
