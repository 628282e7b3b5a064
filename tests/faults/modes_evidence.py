"""Teams under keys of the organisation, as jobs in write modes and other programs change them."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from elasticsearch.helpers import bulk, scan

from runtime.settings import Settings
from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes
from schemas.indices import data_index
from tests.support.processes.cluster import Cluster
from tests.support.stubs.proxy import Proxy
from tests.support.waiting import PATIENCE, elasticsearch

Moment = Literal["image", "write", "restore", "record"]
"""After which request of a job the worker dies: a before-image is kept, a document is written or given back, what
became of a block is recorded."""
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


def remove(settings: Settings, ids: Iterable[str], dataset: str = "teams") -> None:
    """Another program deletes these documents."""
    index = data_index(settings.prefix, dataset)
    with elasticsearch(settings) as client:
        bulk(client, [{"_op_type": "delete", "_index": index, "_id": key} for key in ids])


def edited(found: Documents, ids: Iterable[str], **values: Any) -> Documents:
    """The documents with these ids, with other values."""
    return {key: {**found[key], **values} for key in ids}


def state(settings: Settings, organisation: str, dataset: str = "teams") -> dict[str, bytes]:
    """Every document of an organisation: id -> a hash of it."""
    index = data_index(settings.prefix, dataset)
    with elasticsearch(settings) as client:
        client.indices.refresh(index=index)
        query = {"query": {"term": {"sluice.organisation": organisation}}}
        found = scan(client, index=index, query=query, size=5000)
        return {hit["_id"]: hashed(hit["_source"]) for hit in found}


def hashed(document: dict[str, Any]) -> bytes:
    """A document's hash."""
    return sha256(json.dumps(document, sort_keys=True).encode()).digest()


class Killing:
    """Kills the worker right after Elasticsearch has carried out a request of it, and starts another one.

    The worker of the cluster is replaced by one that reaches Elasticsearch through a proxy.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._proxy = Proxy(cluster.settings.elasticsearch)
        self._settings = cluster.settings.model_copy(update={"elasticsearch_url": self._proxy.url})
        self._killed, self._replaced = threading.Semaphore(0), threading.Semaphore(0)
        cluster.worker.kill()
        cluster.start("worker", settings=self._settings)

    def arm(self, moment: Moment, job_id: str, organisation: str, skipped: int) -> None:
        """Have it killed after a request of this job; so many of them are let pass before."""
        prefix = re.escape(self._cluster.settings.prefix.encode())
        index, key = {
            "image": (b"images", f"{job_id}:"),
            "write": (b"data-teams", f"{organisation}:"),
            "restore": (b"data-teams", f"{organisation}:"),
            "record": (b"undone", f"{job_id}:"),
        }[moment]
        pattern = b'"_index":"%b-%b","_id":"%b' % (prefix, index, re.escape(key.encode()))
        self._proxy.after(pattern, skipped, self._kill)

    def see(self, moments: int) -> None:
        """Wait for so many of these moments, and start another worker after each."""
        for number in range(moments):
            self._cluster.wait(lambda: self._killed.acquire(blocking=False), f"kill {number + 1} of {moments}")
            self._cluster.launch("worker", settings=self._settings)
            self._replaced.release()

    def close(self) -> None:
        """End it; the cluster has no worker then."""
        for process in self._cluster.living("worker"):
            process.kill()
        self._proxy.close()

    def _kill(self) -> None:
        self._cluster.worker.kill()
        self._killed.release()
        self._replaced.acquire(timeout=PATIENCE)
