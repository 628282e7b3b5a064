"""What the routes of webhooks take and answer with, as structs."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from control.webhooks.health import Condition
from schemas.bounds import Name
from schemas.job import State
from schemas.messages.webhooks import DeliveryStatus, EventId, EventType, WebhookName, WebhookUrl

_Filter = Meta(max_length=100)


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook that is to be made."""

    url: WebhookUrl | None = None
    """Where events are sent. Left out: the organisation's webhook for addresses that jobs name (`notify`)."""
    name: WebhookName | None = None
    """Left out: the host of its address, with a number behind it where that is taken."""
    organisation: Name | None = None
    """Left out: the caller's own if it has just one, else `default`."""
    states: Annotated[tuple[State, ...], _Filter] = ()
    """Only events after which a job is in one of these states."""
    operations: Annotated[tuple[Name, ...], _Filter] = ()
    """Only events of jobs of these operations."""
    events: Annotated[tuple[EventType, ...], _Filter] = ()
    """Only events of these types."""


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook, and how it fares. Times are ISO 8601 in UTC."""

    id: str
    name: str
    organisation: str
    url: str | None
    """null: it is the one for addresses that jobs name."""
    states: list[State]
    operations: list[str]
    events: list[EventType]
    created_at: str
    created_by: str
    condition: Condition
    """``unused``: nothing was tried yet; ``working`` and ``failing``: the last attempt was taken, or was not; ``off``:
    its receiver answered 410, and nothing is sent until a test has come through."""
    pending: int
    """Deliveries that wait, or are tried again."""
    failed: int
    """Deliveries that were given up and are kept, to be sent again."""
    delivered_at: str | None
    """When the receiver last took an event."""
    failing_since: str | None
    """When the oldest event came about that is not taken."""
    error: str | None
    """Why the last attempt failed; null: it did not fail."""


class WebhookMade(WebhookView, frozen=True, kw_only=True):
    """A webhook with its secret, which no other answer has."""

    secret: str
    """``whsec_`` and base64, for the libraries of Standard Webhooks."""


class WebhookList(msgspec.Struct, frozen=True, kw_only=True):
    """Webhooks, by organisation and name."""

    webhooks: list[WebhookView]


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way to a webhook."""

    event_id: str
    """The id that the receiver gets as ``webhook-id``."""
    type: str
    job_id: str
    url: str | None
    """The address that the job named; null: the delivery goes to the webhook's."""
    status: DeliveryStatus
    attempts: int
    created_at: str
    """When the event came about."""
    tried_at: str | None
    next_at: str | None
    """When it is tried again; null: it is not."""
    given_up_at: str | None
    """While it is tried: when it will be given up."""
    answer: int | None
    """The HTTP status that the last attempt met; null: there was no answer."""
    error: str | None


class DeliveryList(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries, newest event first."""

    webhook_id: str
    total: int
    """Deliveries that Sluice keeps: all that wait, and the newest of the others."""
    deliveries: list[DeliveryView]


class RedeliverRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries are sent again."""

    event_id: EventId | None = None
    """The event to send again, whether it was taken or not; null: all events that were given up."""


class Redelivered(msgspec.Struct, frozen=True, kw_only=True):
    """How many deliveries are sent again."""

    deliveries: int


class TestView(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver made of a test."""

    __test__ = False

    event_id: str
    delivered: bool
    answer: int | None
    """The HTTP status; null: there was no answer."""
    error: str | None
    seconds: float
