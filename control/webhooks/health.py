"""How a webhook fares, from its deliveries. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from schemas.messages.webhooks import Delivery, Webhook

Condition = Literal["unused", "working", "failing", "off"]


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a webhook that an operator sees."""

    condition: Condition
    """Failing: the last attempt was not taken; off: its receiver answered 410 Gone."""
    pending: int
    failed: int
    """Given up, and kept to be sent again."""
    delivered_at: int | None
    """When the receiver last took an event, milliseconds since 1970."""
    failing_since: int | None
    """When the oldest of what is not taken came about."""
    error: str | None
    """Why the last attempt failed."""


def health_of(webhook: Webhook, deliveries: Collection[Delivery]) -> Health:
    """The health of this webhook."""
    pending = [delivery for delivery in deliveries if delivery.status == "pending"]
    failed = [delivery for delivery in deliveries if delivery.status == "failed"]
    delivered_at = max(
        (delivery.tried_at or 0 for delivery in deliveries if delivery.status == "delivered"), default=None
    )
    tried = [delivery for delivery in deliveries if delivery.tried_at is not None]
    last = max(tried, key=lambda delivery: (delivery.tried_at or 0, delivery.created_at), default=None)
    troubled = last is not None and last.error is not None
    open_since = [delivery.created_at for delivery in (*pending, *failed) if delivery.error is not None]
    condition: Condition = "off" if webhook.off_since is not None else "unused"
    if condition != "off" and last is not None:
        condition = "failing" if troubled else "working"
    return Health(
        condition,
        len(pending),
        len(failed),
        delivered_at,
        min(open_since, default=None) if troubled else None,
        last.error if last is not None else None,
    )
