"""An upstream service: it makes jobs whose source is a topic, and produces their rows to the inbox."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from runtime.clients import librdkafka_config
from runtime.settings import Settings
from schemas.topics import topic_name
from tests.support.processes.cluster import Cluster
from tests.support.waiting import PATIENCE
from verify.topic_records import messages

Row = tuple[int, dict[str, Any]]


def rows_of(file: Path) -> list[Row]:
    """The rows of a CSV file with their numbers."""
    with file.open(encoding="utf-8", newline="") as lines:
        return list(enumerate(csv.DictReader(lines), start=1))


def topic_job(cluster: Cluster, organisation: str, **options: Any) -> str:
    """Make an upload of people whose rows come by the inbox; returns its id."""
    job = {"operation": "upload", "dataset": "people", "organisation": organisation, "source": "topic"}
    return str(cluster.call("POST", "/v1/jobs", json={**job, "options": options})["id"])


def end(cluster: Cluster, job_id: str, rows: int) -> None:
    """Say how many rows the job has."""
    cluster.call("POST", f"/v1/jobs/{job_id}/end", json={"rows": rows})


class Sender:
    """A producer of single rows. `partitioner`: librdkafka's setting, which chooses a key's partition."""

    def __init__(self, settings: Settings, partitioner: str = "murmur2_random") -> None:
        self._inbox = topic_name(settings.prefix, "inbox")
        self._producer = Producer(
            librdkafka_config(settings, enable_idempotence=True, linger_ms=5, partitioner=partitioner)
        )

    def rows(self, job_id: str, rows: Iterable[Row]) -> None:
        """Produce these rows, a record each, and wait until Kafka has them."""
        for number, values in rows:
            self.raw(json.dumps({"job_id": job_id, "row": number, "values": values}), job_id)
        self.flush()

    def raw(self, value: bytes | str, key: str | None = None, timestamp: int = 0) -> None:
        """Produce any record; `timestamp` is milliseconds since 1970, 0: now."""
        while True:
            try:
                self._producer.produce(self._inbox, value, key, timestamp=timestamp)
                return
            except BufferError:
                self._producer.poll(0.1)

    def flush(self) -> None:
        assert self._producer.flush(PATIENCE) == 0


def unknown_rows(sender: Sender, count: int) -> list[str]:
    """Produce rows of jobs that do not exist, on every partition; returns the jobs' ids."""
    jobs = [f"unknown-{uuid.uuid4().hex[:12]}" for _ in range(count)]
    for job_id in jobs:
        sender.raw(json.dumps({"job_id": job_id, "row": 1, "values": {}}), job_id)
    sender.flush()
    return jobs


def commanded(settings: Settings, job_id: str, command: bytes) -> None:
    """Produce a command."""
    producer = Producer(librdkafka_config(settings))
    producer.produce(topic_name(settings.prefix, "commands"), command, job_id)
    assert producer.flush(PATIENCE) == 0


def refused(settings: Settings) -> list[tuple[bytes, str]]:
    """The records of the inbox that were refused, as (value, reason)."""
    found = []
    for record in messages(settings, "dead-letters"):
        headers = dict(record.headers() or [])
        if "topic" in headers:
            found.append((record.value() or b"", headers["reason"].decode()))
    return found
