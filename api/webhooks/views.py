"""Webhooks and deliveries as callers see them. Pure."""

from __future__ import annotations

from typing import Any

from api.webhooks.models import DeliveryView, WebhookMade, WebhookView
from api.webhooks.store import WebhookStore
from control.webhooks.health import health_of
from runtime.text.formatting import iso_time
from schemas.messages.webhooks import Delivery, Webhook


def webhook_view(store: WebhookStore, webhook: Webhook) -> WebhookView:
    """A webhook without its secret."""
    return WebhookView(**_fields(store, webhook))


def webhook_made(store: WebhookStore, webhook: Webhook) -> WebhookMade:
    """A webhook with its secret."""
    return WebhookMade(**_fields(store, webhook), secret=webhook.secret)


def delivery_view(delivery: Delivery, patience_ms: int) -> DeliveryView:
    """A delivery. `patience_ms`: for so long one is tried."""
    pending = delivery.status == "pending"
    return DeliveryView(
        event_id=delivery.event_id,
        type=delivery.event_type,
        job_id=delivery.job_id,
        url=delivery.url,
        status=delivery.status,
        attempts=delivery.attempts,
        created_at=iso_time(delivery.created_at) or "",
        tried_at=iso_time(delivery.tried_at),
        next_at=iso_time(delivery.due_at) if pending else None,
        given_up_at=iso_time(delivery.begun_at + patience_ms) if pending else None,
        answer=delivery.answer,
        error=delivery.error,
    )


def _fields(store: WebhookStore, webhook: Webhook) -> dict[str, Any]:
    health = health_of(webhook, store.deliveries.of(webhook.id))
    return {
        "id": webhook.id,
        "name": webhook.name,
        "organisation": webhook.organisation,
        "url": webhook.url,
        "states": list(webhook.states),
        "operations": list(webhook.operations),
        "events": list(webhook.events),
        "created_at": iso_time(webhook.created_at) or "",
        "created_by": webhook.created_by,
        "condition": health.condition,
        "pending": health.pending,
        "failed": health.failed,
        "delivered_at": iso_time(health.delivered_at),
        "failing_since": iso_time(health.failing_since),
        "error": health.error,
    }
