"""The audit trail of who came in, who was refused and who made keys: a log line, and a record in a topic."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from typing import Any, Final, Protocol

import msgspec

from api.errors import KafkaUnavailableError
from api.principals.attempts import Refusals
from api.principals.caller import Caller
from api.principals.recent_events import RecentEvents
from api.readmodel.appender import Appender
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.telemetry.log_events import as_event
from runtime.topics.unreadable import log_unreadable
from schemas.bounds import MOST_PATH
from schemas.messages.codec import UndecodableError, decode, encode
from schemas.policies.security import Occurrence, SecurityEvent

log = logging.getLogger("sluice.security")

_MOST_WAITING: Final = 1000
"""Events that Kafka has not taken yet: those beyond are in the log alone."""


class EventWriter(Protocol):
    """Appends to the audit trail."""

    async def append(self, event: SecurityEvent) -> None:
        """Append an event. Raises KafkaUnavailableError."""


class KafkaEventWriter:
    """Appends to the topic ``security-events``."""

    def __init__(self, appender: Appender) -> None:
        self._appender = appender

    async def append(self, event: SecurityEvent) -> None:
        """As `EventWriter` says."""
        await self._appender.append("security-events", (event.by or "").encode(), encode(event))


def decode_event(
    topic: str, key: bytes | None, value: bytes | None, offset: int, at: int, partition: int
) -> tuple[int, SecurityEvent] | None:
    """The offset and the event of a record; None: it can't be read, which is logged."""
    try:
        event: SecurityEvent = decode(value, SecurityEvent)
    except UndecodableError as error:
        log_unreadable(log, topic, offset, error, as_event("principals.trouble"))
        return None
    return offset, event


class Audit:
    """Notes security events, and knows the newest ones of all API processes."""

    def __init__(self, writer: EventWriter, clock: Clock = SYSTEM_CLOCK) -> None:
        self._writer = writer
        self._clock = clock
        self._recent = RecentEvents()
        self._refusals = Refusals()
        self._writing: set[asyncio.Task[None]] = set()

    def note(
        self,
        event: Occurrence,
        by: Caller | None,
        address: str | None = None,
        about: str | None = None,
        why: str | None = None,
        **more: Any,
    ) -> None:
        """Log an event at once, and append it to the topic without waiting for it."""
        record = SecurityEvent(
            at=self._clock.now_ms(),
            event=event,
            by=by.name if by else None,
            key_id=by.key_id if by else more.pop("key_id", None),
            organisations=tuple(sorted(by.organisations)) if by and by.organisations is not None else None,
            address=address,
            about=about[:MOST_PATH] if about else None,
            why=why,
            **more,
        )
        fields: dict[str, Any] = msgspec.to_builtins(record)
        fields["occurrence"] = fields.pop("event")
        del fields["at"]
        # JSON has no line ends and control characters within values, so that one event is one line.
        text = " ".join(f"{name}={json.dumps(value)}" for name, value in fields.items())
        log.info("%s", text, extra=as_event("security.event", **fields))
        if len(self._writing) < _MOST_WAITING:
            task = asyncio.get_running_loop().create_task(self._write(record))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    def note_refusal(self, event: Occurrence, by: Caller, address: str, about: str) -> None:
        """Note that a caller whose key is right was refused something. Refusals beyond its budget are counted, and the
        next one that is noted says how many they were."""
        unlogged = self._refusals.refused(by.key_id or by.identity, self._clock.monotonic())
        if unlogged is not None:
            self.note(event, by, address, about, unlogged=unlogged)

    async def _write(self, record: SecurityEvent) -> None:
        try:
            await self._writer.append(record)
        except KafkaUnavailableError as error:
            log.warning(
                "a security event is in this log alone, Kafka did not take it: %s",
                error,
                extra=as_event("principals.trouble"),
            )

    def take(self, events: Iterable[tuple[int, SecurityEvent]]) -> None:
        """Take in events from the topic, each with its offset: one that comes again is known."""
        self._recent.take(events)

    def newest(self, asking: Caller, limit: int) -> list[SecurityEvent]:
        """The newest events that an admin may see, newest first."""
        return self._recent.newest(asking.organisations, limit)
