"""A plain aiokafka consumer of blocks, two bulk requests at once; offsets are committed when their rows are written."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiokafka import AIOKafkaConsumer
from elasticsearch import AsyncElasticsearch

from bench.peers.consumers.blocks import REQUEST_BLOCKS, REQUESTS_AT_ONCE, lines
from bench.peers.protocol import PeerRun, Request, serve


def prepare(request: Request) -> PeerRun:
    """See PeerRun: the time counts from the first records on, not from the joining of the group."""
    return lambda: asyncio.run(_consume(request))


async def _consume(request: Request) -> float:
    consumer = AIOKafkaConsumer(
        request["topic"],
        bootstrap_servers=request["kafka"],
        group_id=request["job_id"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    client = AsyncElasticsearch(request["elasticsearch"])
    room = asyncio.Semaphore(REQUESTS_AT_ONCE)

    async def send(values: list[bytes]) -> int:
        try:
            operations: Any = lines(request, values)
            answer = await client.bulk(index=request["index"], operations=operations, filter_path="errors")
            assert not answer["errors"]
            return len(operations)
        finally:
            room.release()

    await consumer.start()
    try:
        began, taken, written = None, 0, 0
        while taken < request["blocks"]:
            found = await consumer.getmany(timeout_ms=1000, max_records=8 * REQUEST_BLOCKS)
            if not found:
                continue
            began = began or time.perf_counter()
            values = [record.value for records in found.values() for record in records]
            taken += len(values)
            sends = []
            for at in range(0, len(values), REQUEST_BLOCKS):
                await room.acquire()
                sends.append(asyncio.create_task(send(values[at : at + REQUEST_BLOCKS])))
            written += sum(await asyncio.gather(*sends))
            await consumer.commit()
        assert began is not None and written == request["rows"], written
        return time.perf_counter() - began
    finally:
        await consumer.stop()
        await client.close()


if __name__ == "__main__":
    serve(prepare)
