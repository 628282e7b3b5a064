"""The parts that deliver webhooks, put together for one API process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from api.outgoing.lookups import Lookups
from api.readmodel.following.follower import Follower
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


class Sending:
    """Follows the two topics, and delivers when it is this process' turn."""

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        store: WebhookStore,
        connections: Callable[[], Connections],
        metrics: WebhookMetrics,
    ) -> None:
        self._followers: list[Follower[Any]] = [
            Follower(
                settings,
                loop,
                ["webhooks"],
                decoder(read_webhook),
                store.webhook_feed.take,
                store.webhook_feed.set_caught_up,
            ),
            Follower(
                settings,
                loop,
                ["webhook-deliveries"],
                decoder(read_delivery),
                store.delivery_feed.take,
                store.delivery_feed.set_caught_up,
            ),
        ]
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
        for follower in self._followers:
            follower.start()
        self._ownership.start()

    async def stop(self) -> None:
        """Deliver no more."""
        await asyncio.to_thread(self._ownership.stop)
        await asyncio.gather(*(asyncio.to_thread(follower.stop) for follower in self._followers))
