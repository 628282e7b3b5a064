"""Files with bad rows, and what is recorded of these."""

from __future__ import annotations

import csv
import io

from schemas.indices import index_name
from tests.support.processes.cluster import Cluster
from tests.support.waiting import elasticsearch


def spoil(good: bytes, rows: list[int]) -> bytes:
    """The same file with an email address in those rows that is none; rows count from 1."""
    lines = list(csv.reader(io.StringIO(good.decode(), newline="")))
    for row in rows:
        lines[row][1] = f"not an address {row}"
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()


def error_rows(cluster: Cluster, job_id: str) -> list[int]:
    """The row numbers of a job's row errors in Elasticsearch, in order."""
    index = index_name(cluster.settings.prefix, "errors")
    with elasticsearch(cluster.settings) as client:
        client.indices.refresh(index=index)
        query = {"term": {"job_id": job_id}}
        hits = client.search(index=index, query=query, sort=[{"row": "asc"}], size=10_000)["hits"]["hits"]
    return [hit["_source"]["row"] for hit in hits]
