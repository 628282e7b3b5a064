"""The parts that deliver webhooks, put together for one API process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from api.outgoing.lookups import Lookups
from api.readmodel.following.follower import Followed
from api.readmodel.table_feed import decoder
from api.webhooks.delivering import Deliverer
from api.webhooks.intake import Intake
from api.webhooks.metrics import WebhookMetrics
from api.webhooks.ownership import Ownership
from api.webhooks.posting import Connections, tls_context
from api.webhooks.store import WebhookStore
from control.webhooks.registry import read_delivery, read_webhook
from runtime.settings import Settings


def connections_by(settings: Settings, lookups: Lookups) -> Callable[[], Connections]:
    """A function that makes the connections to a receiver."""
    return partial(Connections, settings, tls_context(settings), lookups)


def patience_ms(settings: Settings) -> int:
    """How long a delivery is tried before it is given up."""
    return int(settings.webhook_retry_hours * 3600 * 1000)


def followed(store: WebhookStore) -> list[Followed[Any]]:
    """What a follower of the two topics takes in."""
    webhooks, deliveries = store.webhook_feed, store.delivery_feed
    return [
        Followed(["webhooks"], decoder(read_webhook), webhooks.take, webhooks.set_caught_up),
        Followed(["webhook-deliveries"], decoder(read_delivery), deliveries.take, deliveries.set_caught_up),
    ]


class Sending:
    """Delivers when it is this process' turn."""

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        store: WebhookStore,
        connections: Callable[[], Connections],
        metrics: WebhookMetrics,
    ) -> None:
        self._ownership = Ownership(
            settings,
            loop,
            Intake(store, settings.api),
            lambda owns, committed: Deliverer(store, connections, patience_ms(settings), metrics, owns, committed),
        )
        metrics.pending = lambda: store.deliveries.pending
        metrics.owner = lambda: self._ownership.owner

    def start(self) -> None:
        """Begin."""
        self._ownership.start()

    async def stop(self) -> None:
        """Deliver no more."""
        await asyncio.to_thread(self._ownership.stop)
