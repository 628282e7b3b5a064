"""A table that this process knows from a compacted topic, and those who wait for a change. For the event loop only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from runtime.telemetry.log_events import as_event
from runtime.topics.unreadable import log_unreadable
from schemas.messages.codec import UndecodableError

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RecordSeen(Generic[T]):
    """A record of the topic."""

    offset: int
    name: str | None
    """Its key; None: the record can't be read, and counts for its offset alone."""
    record: T | None = None
    """None: a tombstone."""


def decoder(
    read: Callable[[bytes | None, bytes | None], tuple[str, T | None]],
) -> Callable[[], Callable[[str, bytes | None, bytes | None, int, int, int], RecordSeen[T] | None]]:
    """What a follower is to be given for records that `read` decodes. One that can't be read is logged."""

    def decode(
        topic: str, key: bytes | None, value: bytes | None, offset: int, at: int, partition: int
    ) -> RecordSeen[T] | None:
        try:
            return RecordSeen(offset, *read(key, value))
        except UndecodableError as error:
            log_unreadable(log, topic, offset, error, as_event("record.unreadable"))
            return RecordSeen(offset, None)

    return lambda: decode


class TableFeed(Generic[T]):
    """The table, fed from the topic, and from what this process has written and Kafka has acknowledged."""

    def __init__(self, put: Callable[[str, T | None], None]) -> None:
        self._put = put
        self.caught_up = False
        """Whether it has once reached the end of its topic."""
        self._position = -1
        self._ahead: dict[str, int] = {}
        """Key -> offset of a record that was taken in before it came from the topic: older ones come after it."""
        self._waiting: set[asyncio.Event] = set()
        self.listeners: list[Callable[[str, T | None], None]] = []
        """Called with each record that is taken in."""

    def take(self, batch: Iterable[RecordSeen[T]]) -> None:
        """Take in records of the topic, and wake those who wait."""
        for seen in batch:
            # After an error the topic is read again from its beginning: what was taken in before is known.
            if seen.offset <= self._position:
                continue
            self._position = seen.offset
            if seen.name is None:
                continue
            ahead = self._ahead.get(seen.name, -1)
            if seen.offset >= ahead:
                self._ahead.pop(seen.name, None)
            if seen.offset > ahead:
                self._taken(seen.name, seen.record)
        self._wake()

    def written(self, offset: int, name: str, record: T | None) -> None:
        """Take in a record that this process has written, which lies at this offset."""
        if offset > self._position and offset > self._ahead.get(name, -1):
            self._ahead[name] = offset
            self._taken(name, record)
        self._wake()

    def set_caught_up(self) -> None:
        """Record that it has reached the end of its topic."""
        self.caught_up = True
        self._wake()

    async def until_offset(self, offset: int, seconds: float) -> bool:
        """Wait until the topic has been read up to this offset; False: not within `seconds`."""
        return await self.until(lambda: self._position >= offset, seconds)

    async def until_caught_up(self, seconds: float) -> bool:
        """Wait until the topic has once been read to its end; False: not within `seconds`."""
        return await self.until(lambda: self.caught_up, seconds)

    async def until(self, true: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is true of the table; False: not within `seconds`."""
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

    @contextmanager
    def changes(self) -> Iterator[asyncio.Event]:
        """An event that is set with each change, as long as the context is open; its waiter clears it."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            yield event
        finally:
            self._waiting.discard(event)

    def _taken(self, name: str, record: T | None) -> None:
        self._put(name, record)
        for listener in self.listeners:
            listener(name, record)

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()
