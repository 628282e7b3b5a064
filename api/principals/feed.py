"""The principals as this process knows them, and those who wait for a change. For the event loop only."""

from __future__ import annotations

import logging

from api.readmodel.table_feed import RecordSeen, TableFeed
from control.principals.registry import Registry, read_principal
from runtime.telemetry.log_events import as_event
from runtime.topics.unreadable import log_unreadable
from schemas.messages.codec import UndecodableError
from schemas.policies.principals import PrincipalRecord

log = logging.getLogger(__name__)


def decode_principal(
    topic: str, key: bytes | None, value: bytes | None, offset: int, at: int, partition: int
) -> RecordSeen[PrincipalRecord] | None:
    """The decoded record; None: it can't be read, which is logged."""
    try:
        return RecordSeen(offset, *read_principal(key, value))
    except UndecodableError as error:
        log_unreadable(log, topic, offset, error, as_event("principals.trouble"))
        return None


class PrincipalFeed(TableFeed[PrincipalRecord]):
    """The registry, fed from the topic."""

    def __init__(self) -> None:
        self.registry = Registry()
        super().__init__(self.registry.put)
