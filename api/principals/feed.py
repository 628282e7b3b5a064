"""The principals as this process knows them, and those who wait for a change. For the event loop only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from control.principals.registry import Registry, read_principal
from runtime.telemetry.log_events import as_event
from schemas.messages.codec import UndecodableError
from schemas.policies.principals import PrincipalRecord

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PrincipalSeen:
    """A record of the topic."""

    offset: int
    name: str
    record: PrincipalRecord | None


def decode_principal(
    topic: str, key: bytes | None, value: bytes | None, offset: int, at: int, partition: int
) -> PrincipalSeen | None:
    """What a record says; None: it can't be read, which is logged."""
    try:
        return PrincipalSeen(offset, *read_principal(key, value))
    except UndecodableError as error:
        log.warning(
            "record at offset %s of %s can't be read: %s", offset, topic, error, extra=as_event("principals.trouble")
        )
        return None


class PrincipalFeed:
    """The registry, fed from the topic."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.caught_up = False
        """Whether it has once reached the end of its topic."""
        self._position = -1
        self._waiting: set[asyncio.Event] = set()

    def take(self, batch: Iterable[PrincipalSeen]) -> None:
        """Take in records, and wake those who wait."""
        for seen in batch:
            # After an error the topic is read again from its beginning. A revoked key must not come back meanwhile.
            if seen.offset > self._position:
                self.registry.put(seen.name, seen.record)
                self._position = seen.offset
        self._wake()

    def set_caught_up(self) -> None:
        """Record that it has reached the end of its topic."""
        self.caught_up = True
        self._wake()

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()

    @contextmanager
    def changes(self) -> Iterator[asyncio.Event]:
        """An event that is set with each change, as long as the context is open; its waiter clears it."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            yield event
        finally:
            self._waiting.discard(event)

    async def until(self, true: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is true of the registry; False: not within so many seconds."""
        if true():
            return True
        try:
            async with asyncio.timeout(seconds):
                with self.changes() as changed:
                    while not true():
                        await changed.wait()
                        changed.clear()
        except TimeoutError:
            return False
        return True

    async def until_offset(self, offset: int, seconds: float) -> bool:
        """Wait until the record at this offset has been taken in; False: not within so many seconds."""
        return await self.until(lambda: self._position >= offset, seconds)
