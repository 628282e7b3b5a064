"""The Celery application: one task, which writes a chunk of rows with `streaming_bulk`."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from celery import Celery
from elasticsearch import Elasticsearch
from elasticsearch.helpers import streaming_bulk

app = Celery("chunks", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])
# Late acknowledgement: a chunk whose worker dies is written again. One chunk is fetched at a time for each process.
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    # The number of written rows is needed by nobody after the run.
    result_expires=600,
)


@cache
def _client(url: str) -> Elasticsearch:
    return Elasticsearch(url)


@app.task  # type: ignore[untyped-decorator]  # the package has no types
def write(url: str, index: str, chunk: list[tuple[str, dict[str, Any]]]) -> int:
    """Write a chunk of documents, (id, document); returns how many there were."""
    actions = ({"_op_type": "create", "_index": index, "_id": name, "_source": row} for name, row in chunk)
    return sum(ok for ok, _ in streaming_bulk(_client(url), actions))
