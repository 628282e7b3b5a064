"""A plain confluent-kafka consumer of blocks, two bulk requests at once; offsets are committed at the end."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from confluent_kafka import Consumer
from elasticsearch import Elasticsearch

from bench.peers.consumers.blocks import REQUEST_BLOCKS, REQUESTS_AT_ONCE, lines
from bench.peers.protocol import PeerRun, Request, serve


def prepare(request: Request) -> PeerRun:
    """See PeerRun: the time counts from the first records on, not from the joining of the group."""
    return lambda: _consume(request)


def _consume(request: Request) -> float:
    consumer = Consumer(
        {
            "bootstrap.servers": request["kafka"],
            "group.id": request["job_id"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([request["topic"]])
    client = Elasticsearch(request["elasticsearch"], connections_per_node=REQUESTS_AT_ONCE)

    def send(values: list[bytes]) -> int:
        operations: Any = lines(request, values)
        assert not client.bulk(index=request["index"], operations=operations, filter_path="errors")["errors"]
        return len(operations)

    began, taken, written = None, 0, 0
    pending: list[Future[int]] = []
    try:
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            while taken < request["blocks"]:
                records = consumer.consume(REQUEST_BLOCKS, timeout=0.2)
                values = []
                for record in records:
                    assert record.error() is None, record.error()
                    values.append(record.value() or b"")
                if not values:
                    continue
                began = began or time.perf_counter()
                taken += len(values)
                pending.append(pool.submit(send, values))
                if len(pending) > REQUESTS_AT_ONCE:
                    written += pending.pop(0).result()
            written += sum(sent.result() for sent in pending)
        consumer.commit(asynchronous=False)
        assert began is not None and written == request["rows"], written
        return time.perf_counter() - began
    finally:
        consumer.close()
        client.close()


if __name__ == "__main__":
    serve(prepare)
