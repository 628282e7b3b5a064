"""Webhooks (topic ``webhooks``, compacted) and what is delivered to them (topic ``webhook-deliveries``, compacted).

The key of a webhook is its id; that of a delivery is what `delivery_key` makes of it. A webhook holds its secret as it
is, since each request is signed with it: the API alone may read the topic.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from schemas.bounds import MOST_KEY, MOST_NOTIFY, Counter, Name, Offset, Timestamp
from schemas.job import State

WEBHOOK_ID_PATTERN: Final = r"^[0-9a-z]{10}\Z"
WebhookId = Annotated[
    str, Meta(pattern=WEBHOOK_ID_PATTERN, description="a webhook's id: 10 lower-case letters and digits")
]
MOST_URL: Final = MOST_NOTIFY
WebhookUrl = Annotated[str, Meta(max_length=MOST_URL)]
MOST_NAME: Final = 64
WebhookName = Annotated[str, Meta(max_length=MOST_NAME)]
Secret = Annotated[str, Meta(max_length=200)]
"""``whsec_`` and base64, as Standard Webhooks has it."""
EventId = Annotated[str, Meta(max_length=MOST_KEY, pattern=r"^[A-Za-z0-9_-]+\Z", description="an event's id")]
"""The header ``webhook-id``. It has no full stop, which separates the parts of what is signed."""

EventType = Literal[
    "sluice.job.created",
    "sluice.job.file_received",
    "sluice.job.started",
    "sluice.job.pausing",
    "sluice.job.paused",
    "sluice.job.resumed",
    "sluice.job.terminating",
    "sluice.job.terminated",
    "sluice.job.completed",
    "sluice.job.failed",
    "sluice.job.retrying",
    "sluice.job.rolling_back",
    "sluice.job.rolled_back",
    "sluice.job.purged",
]
"""The types of events, as CloudEvents' `type`."""
TEST_TYPE: Final = "sluice.webhook.test"
DeliveryStatus = Literal["pending", "delivered", "failed"]
"""Failed: it was tried for a day and was not taken, or can't be tried any more."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="webhook"):
    """An address that an organisation has events sent to (key of the record: the id); a tombstone removes it."""

    id: WebhookId
    name: WebhookName
    organisation: Name
    url: WebhookUrl | None = None
    """None: this is the organisation's webhook for addresses that jobs name themselves. It gives their secret."""
    states: tuple[State, ...] = ()
    """Events after which a job is in one of these; empty: in any."""
    operations: tuple[Name, ...] = ()
    """Only events of jobs of these operations; empty: of any operation."""
    events: tuple[EventType, ...] = ()
    """Only events of these types; empty: of any type."""
    secret: Secret
    old_secret: Secret | None = None
    """The one before it, which also signs until `old_until`."""
    old_until: Timestamp | None = None
    created_at: Timestamp
    created_by: Name
    since: Offset = 0
    """The end of the topic ``job-events`` when it was made: older events are not sent."""
    off_since: Timestamp | None = None
    """Its receiver answered 410 Gone: nothing is sent until a test has come through."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="delivery"):
    """An event on its way to a webhook, and how far it has come."""

    webhook_id: WebhookId
    organisation: Name
    event_id: EventId
    event_type: str
    job_id: str
    url: WebhookUrl | None = None
    """The address that the job names itself; None: the webhook's."""
    body: str
    """The event in JSON, exactly as it is signed and sent."""
    created_at: Timestamp
    place: Offset = -1
    """The event's offset in the topic ``job-events``: a job's events go out in this order."""
    status: DeliveryStatus = "pending"
    begun_at: Timestamp
    """When the attempts began; the time until the delivery is given up counts from here."""
    attempts: Counter = 0
    """Attempts since `begun_at`."""
    due_at: Timestamp = 0
    """When it is tried next."""
    tried_at: Timestamp | None = None
    answer: Annotated[int, Meta(ge=0, le=999)] | None = None
    """The HTTP status that the last attempt met; None: there was no answer."""
    error: str | None = None
    """What the last attempt failed with."""


def delivery_key(delivery: Delivery) -> str:
    """The key under which the topic has a delivery."""
    return f"{delivery.webhook_id}/{delivery.event_id}"
