"""Which webhooks get an event: the deliveries that follow from a record of the history. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from control.webhooks.events import STOPS, event_id, event_type, job_event, state_after
from control.webhooks.rules import is_address
from control.webhooks.schedule import given_up
from schemas.messages.events import JobEvent
from schemas.messages.webhooks import Delivery, EventType, Webhook


def takes(webhook: Webhook, record: JobEvent, kind: EventType, offset: int) -> bool:
    """Whether a webhook is to have this event, which lies at `offset` of the history."""
    if webhook.off_since is not None:
        return False
    if webhook.url is None:
        return wants_own_address(record)
    if record.job.options.notify == webhook.name and kind in STOPS:
        return True
    return (
        offset >= webhook.since
        and (not webhook.states or state_after(record) in webhook.states)
        and (not webhook.operations or record.job.operation in webhook.operations)
        and (not webhook.events or kind in webhook.events)
    )


def wants_own_address(record: JobEvent) -> bool:
    """Whether the job names an address that is to have this event."""
    named = record.job.options.notify
    return named is not None and is_address(named) and event_type(record) in STOPS


def deliveries(
    record: JobEvent, offset: int, webhooks: Collection[Webhook], source: str, now_ms: int
) -> Iterator[Delivery]:
    """The deliveries of a record to its organisation's webhooks, all of them due now."""
    kind = event_type(record)
    if kind is None:
        return
    body: str | None = None
    for webhook in webhooks:
        if not takes(webhook, record, kind, offset):
            continue
        body = body or job_event(record, kind, source, offset).decode()
        yield Delivery(
            webhook_id=webhook.id,
            organisation=webhook.organisation,
            event_id=event_id(record),
            event_type=kind,
            job_id=record.job_id,
            url=record.job.options.notify if webhook.url is None else None,
            body=body,
            created_at=record.at,
            place=offset,
            begun_at=now_ms,
            due_at=now_ms,
        )


def too_many(delivery: Delivery, now_ms: int, most: int) -> Delivery:
    """The delivery that finds no room among those that wait."""
    return given_up(delivery, now_ms, f"{most:,} deliveries of this webhook wait already")
