"""Sends a test to a webhook, at once and once, and tells what its receiver made of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from msgspec.structs import replace

from api.errors import ApiError, invalid
from api.webhooks.delivering import Posting
from api.webhooks.models import TestView
from api.webhooks.posting import Message
from api.webhooks.store import WebhookStore
from control.webhooks.events import check_event
from control.webhooks.signing import secrets_of
from runtime.clock import now_ms
from schemas.messages.webhooks import Webhook


class Trials:
    """The tests of one process: one at a time for each organisation."""

    def __init__(self, connections: Callable[[], Posting], source: str) -> None:
        self._connections = connections
        self._source = source
        self._running: set[str] = set()

    async def run(self, store: WebhookStore, webhook: Webhook) -> TestView:
        """Send a test. A webhook that is off is on again once its receiver has taken one.

        Raises:
            ApiError: 400, the webhook has no address of its own; 429, another test runs.
        """
        if webhook.url is None:
            raise invalid("this webhook is for addresses that jobs name: it has none of its own that could be tested")
        if webhook.organisation in self._running:
            raise ApiError(429, "a test of a webhook of this organisation runs; wait for its end")
        self._running.add(webhook.organisation)
        connections = self._connections()
        try:
            now, begun = now_ms(), time.monotonic()
            event_id = f"test-{secrets.token_hex(8)}"
            body = check_event(event_id, now, webhook.organisation, self._source)
            message = Message(webhook.organisation, webhook.url, event_id, body, secrets_of(webhook, now))
            outcome = await connections.post(message, now)
            seconds = time.monotonic() - begun
        finally:
            self._running.discard(webhook.organisation)
            await connections.close()
        now_stored = store.webhooks.all.get(webhook.id)  # it may have been deleted meanwhile, or have a new secret
        if outcome.delivered and now_stored is not None and now_stored.off_since is not None:
            await store.put(replace(now_stored, off_since=None))
        return TestView(
            event_id=event_id,
            delivered=outcome.delivered,
            answer=outcome.answer,
            error=outcome.error,
            seconds=round(seconds, 3),
        )
