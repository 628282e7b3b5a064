"""Teams under keys of the organisation, as jobs in write modes and other programs change them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from elasticsearch.helpers import bulk, scan

from runtime.clients import elasticsearch
from runtime.settings import Settings
from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes
from schemas.indices import data_index
from tests.cluster import Cluster

Documents = dict[str, dict[str, Any]]
Rows = list[dict[str, str]]


def teams(count: int, seed: int = 7) -> Rows:
    """Rows of teams."""
    return list(csv.DictReader(io.StringIO(generate_bytes(Dataset.TEAMS, count, seed).decode(), newline="")))


def write(path: Path, rows: Rows) -> Path:
    """A CSV file of these rows."""
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def send(cluster: Cluster, file: Path, organisation: str, dataset: str = "teams", **options: Any) -> str:
    """Start an upload; the job's id."""
    job = {"operation": "upload", "dataset": dataset, "organisation": organisation, "options": options}
    with file.open("rb") as content:
        parts = {"job": (None, json.dumps(job), "application/json"), "file": (file.name, content, "text/csv")}
        answer = cluster.request("POST", "/v1/jobs", files=parts)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def documents(settings: Settings, organisation: str, dataset: str = "teams") -> Documents:
    """Every document of an organisation: id -> document."""
    index = data_index(settings.prefix, dataset)
    with elasticsearch(settings) as client:
        client.indices.refresh(index=index)
        query = {"query": {"term": {"sluice.organisation": organisation}}}
        return {hit["_id"]: hit["_source"] for hit in scan(client, index=index, query=query, size=5000)}


def edit(settings: Settings, changed: Documents, dataset: str = "teams") -> None:
    """Another program writes these documents."""
    index = data_index(settings.prefix, dataset)
    with elasticsearch(settings) as client:
        bulk(client, [{"_index": index, "_id": key, "_source": source} for key, source in changed.items()])


def edited(found: Documents, ids: Iterable[str], **values: Any) -> Documents:
    """The documents with these ids, with other values."""
    return {key: {**found[key], **values} for key in ids}


def killing(cluster: Cluster, job_id: str, rows: Iterable[int], during: Callable[[], None] = lambda: None) -> None:
    """Kill the worker each time so many rows of a job are dealt with, and start another one."""
    for at in rows:
        cluster.wait_rows(job_id, at)
        cluster.worker.kill()
        during()
        cluster.start("worker")
