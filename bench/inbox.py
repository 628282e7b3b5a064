"""How fast one reader makes blocks of single rows, from a filled inbox until every row is in a block."""

from __future__ import annotations

import csv
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from bench.stack import bench_stack, cpu_seconds
from commandline.connection import Api
from devstack.lifecycle import status
from ingest.inbox.partition import home_partition
from runtime.clients import librdkafka_config
from runtime.settings import Settings
from sample_csv.cli import sample
from sample_csv.datasets import Dataset
from schemas.messages.codec import encode
from schemas.messages.inbox import InboxRow
from schemas.topics import topic_name
from verify.compare import compare

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class InboxFigures:
    """What one run measured."""

    rows: int
    at_home_rows_per_second: float
    """Rows on the home partition of their job: keys hashed as Java's client does."""
    moved_rows_per_second: float
    """Rows on another partition, which the reader moves to the home partition first."""
    cpu_seconds: float
    """Processor time of the reader, for the rows on the home partition."""


def measure(rows: int) -> InboxFigures:
    """Fill the inbox with `rows` single rows while the reader is frozen, then let it work; twice.

    Every row is compared with what Elasticsearch has at the end. The job is paused, so that the reader is measured and
    not the worker beside it.

    Raises:
        AssertionError: a row is missing, doubled or different.
    """
    with bench_stack() as config:
        file = config.home / "people.csv"
        sample(Dataset("people"), rows, file, 7)
        _run(config, file, "warm-up", moved=False)
        before = cpu_seconds(config)["ingest"]
        at_home = _run(config, file, "home", moved=False)
        used = cpu_seconds(config)["ingest"] - before
        moved = _run(config, file, "moved", moved=True)
        return InboxFigures(rows, rows / at_home, rows / moved, used)


def _run(config: Settings, file: Path, organisation: str, *, moved: bool) -> float:
    """Fill the inbox; returns the seconds from the reader's start until the job reports every row as read."""
    api = Api()
    job = {"operation": "upload", "dataset": "people", "organisation": organisation, "source": "topic"}
    job_id = str(api.call("POST", "/v1/jobs", json=job)["id"])
    api.call("POST", f"/v1/jobs/{job_id}/pause", params={"wait": 30}, json={}, timeout=60)
    with frozen(config):
        rows = fill(config, file, job_id, moved)
    began = time.perf_counter()
    while api.job(job_id)["progress"]["rows_read"] < rows:
        time.sleep(POLL_SECONDS)
    took = time.perf_counter() - began
    api.call("POST", f"/v1/jobs/{job_id}/end", json={"rows": rows})
    api.call("POST", f"/v1/jobs/{job_id}/resume", json={})
    while (state := api.job(job_id)["state"]) == "RUNNING":
        time.sleep(POLL_SECONDS)
    verdict = compare(config, job_id, "people", file)
    assert state == "COMPLETED" and verdict.holds, f"{state}: {verdict}"
    return took


def fill(config: Settings, file: Path, job_id: str, moved: bool) -> int:
    """Produce each row of the file as a record of its own; returns how many there are."""
    inbox, key, number = topic_name(config.prefix, "inbox"), job_id.encode(), 0
    partition = (home_partition(job_id, config.topic_partitions) + moved) % config.topic_partitions
    producer = Producer(librdkafka_config(config, linger_ms=50, queue_buffering_max_messages=10_000_000))
    with file.open(encoding="utf-8", newline="") as lines:
        for number, values in enumerate(csv.DictReader(lines), start=1):
            row = InboxRow(job_id=job_id, row=number, values=dict(values))
            producer.produce(inbox, encode(row), key, partition=partition)
    assert producer.flush(60) == 0
    return number


@contextmanager
def frozen(config: Settings) -> Iterator[None]:
    """A context in which the reader is stopped (SIGSTOP); for less than a session, or it would lose its partitions."""
    _, records = status.report(config)
    (pid,) = (record.pid for record in records if record.role == "ingest" and record.pid is not None)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
