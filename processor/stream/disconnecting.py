"""Stops clients of aiokafka without waiting for Kafka to close its end of their connections.

Over TLS, a connection is closed once both ends have said so. If Kafka does not, asyncio waits for thirty seconds: a
worker that closes a connection while it takes over partitions would let their rows wait for so long.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from runtime.telemetry.log_events import as_event

log = logging.getLogger(__name__)

_SECONDS: Final = 1.0
_closing: set[asyncio.Task[None]] = set()
"""asyncio keeps only weak references to tasks."""


class Client(Protocol):
    """A consumer outside of any group."""

    async def stop(self) -> None:
        """Close all connections."""


async def disconnect(client: Client, seconds: float = _SECONDS) -> None:
    """Stop a client. What it has not done after `seconds`, it does in the background; an error of it is only logged."""
    task = asyncio.ensure_future(client.stop())
    _closing.add(task)
    task.add_done_callback(_closed)
    await asyncio.wait({task}, timeout=seconds)


def _closed(task: asyncio.Task[None]) -> None:
    _closing.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.debug("a connection to Kafka was not closed in order: %s", error, extra=as_event("kafka.trouble"))
