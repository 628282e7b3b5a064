"""Writes the topic of the principals, and waits until this process has read what it wrote."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from api.errors import KafkaUnavailableError, unavailable
from api.locks import OrganisationLocks
from api.principals.feed import PrincipalFeed
from api.readmodel.appender import Appender
from runtime.telemetry.log_events import as_event
from schemas.messages.codec import encode
from schemas.policies.principals import KeyUse, PrincipalRecord, record_key

log = logging.getLogger(__name__)

_READ_SECONDS: Final = 10.0
USE_MS: Final = 3_600_000
"""The store records a key's use at most once in this time."""


class Writer(Protocol):
    """Appends to the topic."""

    async def append(self, name: str, record: PrincipalRecord | None) -> int:
        """Append a record, or a tombstone; returns its offset. Raises KafkaUnavailableError."""


class KafkaPrincipalWriter:
    """Appends to the topic ``principals``."""

    def __init__(self, appender: Appender) -> None:
        self._appender = appender

    async def append(self, name: str, record: PrincipalRecord | None) -> int:
        """See `Writer`."""
        value = None if record is None else encode(record)
        return await self._appender.append("principals", name.encode(), value)


class PrincipalStore:
    """The principals, to read and to write."""

    def __init__(self, feed: PrincipalFeed, writer: Writer) -> None:
        self.feed = feed
        self.making = OrganisationLocks()
        self._writer = writer
        self._noted: dict[str, int] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def put(self, record: PrincipalRecord) -> int:
        """Write a record; it counts in this process when this returns its offset. Raises as `remove`."""
        return await self._write(record_key(record), record)

    async def remove(self, name: str) -> None:
        """Write a tombstone; it counts in this process when this returns.

        Raises:
            ApiError: 503, Kafka does not answer, so that it is not known whether it was written.
        """
        await self._write(name, None)

    async def _write(self, name: str, record: PrincipalRecord | None) -> int:
        try:
            offset = await self._writer.append(name, record)
        except KafkaUnavailableError as error:
            text = "Kafka does not answer, so it is not known whether this was recorded; check `sluice status`"
            raise unavailable(f"{text}, look, and try again") from error
        if not await self.feed.until_offset(offset, _READ_SECONDS):
            raise unavailable("this is recorded, but the API is slow to read it from Kafka; look again in a moment")
        return offset

    def used(self, key_id: str, now_ms: int) -> None:
        """Note that a key is used now: recorded once an hour, and not waited for."""
        last = max(self.feed.registry.uses.get(key_id, 0), self._noted.get(key_id, 0))
        if now_ms - last >= USE_MS:
            self._noted[key_id] = now_ms
            self.later(KeyUse(id=key_id, at=now_ms))

    def later(self, record: PrincipalRecord) -> None:
        """Write a record without waiting for it; where Kafka does not take it, that is logged."""
        task = asyncio.get_running_loop().create_task(self._in_background(record_key(record), record))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def forget_later(self, name: str) -> None:
        """Write a tombstone without waiting for it."""
        task = asyncio.get_running_loop().create_task(self._in_background(name, None))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _in_background(self, name: str, record: PrincipalRecord | None) -> None:
        try:
            await self._writer.append(name, record)
        except KafkaUnavailableError as error:
            kind = name.partition("/")[0]
            log.warning("a %s was not written: %s", kind, error, extra=as_event("principals.trouble"))
