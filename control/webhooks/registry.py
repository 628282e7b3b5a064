"""The webhooks and their deliveries, as a process knows them from their topics. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from schemas.messages.codec import UndecodableError, decode
from schemas.messages.webhooks import Delivery, Webhook, delivery_key

KEPT_DELIVERED: Final = 50
"""Newest deliveries of a webhook that stay to be looked at."""
KEPT_FAILED: Final = 1000
"""Newest deliveries that were given up: they stay longer, as they can be sent again."""
MOST_PENDING: Final = 5_000
"""Deliveries of a webhook that wait at once. Those beyond are given up at once, which is shown."""


def read_webhook(key: bytes | None, value: bytes | None) -> tuple[str, Webhook | None]:
    """The key and the webhook that a record has; None: a tombstone.

    Raises:
        UndecodableError: it can't be read, or lies under another key than its own.
    """
    name = (key or b"").decode("utf-8", "replace")
    if value is None:
        return name, None
    webhook: Webhook = decode(value, Webhook)
    return _under(name, webhook.id), webhook


def read_delivery(key: bytes | None, value: bytes | None) -> tuple[str, Delivery | None]:
    """The same for a delivery. Raises as `read_webhook`."""
    name = (key or b"").decode("utf-8", "replace")
    if value is None:
        return name, None
    delivery: Delivery = decode(value, Delivery)
    return _under(name, delivery_key(delivery)), delivery


def _under(name: str, own: str) -> str:
    if name != own:
        raise UndecodableError(f"the record lies under the key {name[:80]!r}, not under its own")
    return name


class Webhooks:
    """The newest record of each webhook."""

    def __init__(self) -> None:
        self.all: dict[str, Webhook] = {}
        """Id -> webhook."""
        self._of: dict[str, dict[str, Webhook]] = {}

    def put(self, name: str, record: Webhook | None) -> None:
        """Take in a record, or a tombstone."""
        before = self.all.pop(name, None)
        if before is not None:
            self._of[before.organisation].pop(name)
            if not self._of[before.organisation]:
                del self._of[before.organisation]
        if record is not None:
            self.all[name] = record
            self._of.setdefault(record.organisation, {})[name] = record

    def of(self, organisation: str) -> Collection[Webhook]:
        """An organisation's, as they are now."""
        return tuple(self._of.get(organisation, {}).values())

    def named(self, organisation: str, name: str) -> Webhook | None:
        """An organisation's webhook of this name, the oldest if there are several; None: there is none."""
        found = [webhook for webhook in self.of(organisation) if webhook.name == name]
        return min(found, key=lambda webhook: (webhook.created_at, webhook.id), default=None)


class Deliveries:
    """The newest record of each delivery, by webhook in the order in which their events came about."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, Delivery]] = {}
        self._pending: dict[str, int] = {}

    def put(self, name: str, record: Delivery | None) -> None:
        """Take in a record, or a tombstone."""
        webhook_id = name.partition("/")[0]
        own = self._of.setdefault(webhook_id, {})
        before = own.get(name)
        if before is not None and before.status == "pending":
            self._count(webhook_id, -1)
        if record is None:
            own.pop(name, None)
            if not own:
                del self._of[webhook_id]
            return
        own[name] = record
        if record.status == "pending":
            self._count(webhook_id, 1)

    def _count(self, webhook_id: str, change: int) -> None:
        left = self._pending.get(webhook_id, 0) + change
        self._pending[webhook_id] = left
        if not left:
            del self._pending[webhook_id]

    def get(self, name: str) -> Delivery | None:
        """The delivery under a key; None: there is none."""
        return self._of.get(name.partition("/")[0], {}).get(name)

    def of(self, webhook_id: str) -> Collection[Delivery]:
        """A webhook's, the oldest first."""
        return self._of.get(webhook_id, {}).values()

    def waiting(self, webhook_id: str) -> int:
        """How many of a webhook are pending."""
        return self._pending.get(webhook_id, 0)

    @property
    def pending(self) -> int:
        """How many there are."""
        return sum(self._pending.values())

    def every(self) -> Iterable[Delivery]:
        """All, by webhook."""
        return [delivery for own in self._of.values() for delivery in own.values()]

    def surplus(self, webhook_id: str, committed: int) -> list[str]:
        """The keys of a webhook's deliveries that need not be kept any more: more of them than are shown.

        Those of events from the offset `committed` on are kept: such an event may be read again, and is to be known.
        """
        found: list[str] = []
        for status, kept in (("delivered", KEPT_DELIVERED), ("failed", KEPT_FAILED)):
            own = [delivery for delivery in self.of(webhook_id) if delivery.status == status]
            own.sort(key=lambda delivery: delivery.tried_at or 0)
            old = own[: max(0, len(own) - kept)]
            found += [delivery_key(delivery) for delivery in old if delivery.place < committed]
        return found
