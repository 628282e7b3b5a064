"""From events of jobs to deliveries that are recorded: once they are, the events are done with."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api.errors import RecordTooLargeError
from api.webhooks.store import WebhookStore
from control.newer_states import read_history
from control.webhooks.recipients import deliveries, too_many, wants_own_address
from control.webhooks.registry import MOST_PENDING
from control.webhooks.rules import ADDRESSES
from control.webhooks.signing import id_for_addresses, new_secret
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.telemetry.log_events import as_event
from schemas.messages.codec import UndecodableError
from schemas.messages.events import JobEvent
from schemas.messages.webhooks import Delivery, Webhook, delivery_key

log = logging.getLogger(__name__)

READ_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class EventRecord:
    """A record of the history as it lies in its topic."""

    offset: int
    value: bytes | None


class BehindError(Exception):
    """This process has not read the webhooks to their end in time. Trying again helps."""


def webhook_for_addresses(organisation: str, by: str, at: int) -> Webhook:
    """The webhook of addresses that jobs name, with a new secret."""
    return Webhook(
        id=id_for_addresses(organisation),
        name=ADDRESSES,
        organisation=organisation,
        secret=new_secret(secrets.token_bytes),
        created_at=at,
        created_by=by,
    )


class Intake:
    """Records what is to be delivered."""

    def __init__(self, store: WebhookStore, source: str, clock: Clock = SYSTEM_CLOCK) -> None:
        """`source`: the API's address, which events name as theirs."""
        self._store = store
        self._source = source
        self._clock = clock

    async def ready(self, webhooks_end: int, deliveries_end: int) -> None:
        """Wait until this process knows what lies in its topics before these offsets.

        Raises:
            BehindError: it has not read so far in time.
        """
        feeds = ((self._store.webhook_feed, webhooks_end), (self._store.delivery_feed, deliveries_end))
        for feed, end in feeds:
            if end > 0 and not await feed.until_offset(end - 1, READ_SECONDS):
                raise BehindError("the topics of the webhooks are not read to their end yet")

    def _has_own(self, organisation: str) -> bool:
        own = self._store.webhooks.all.get(id_for_addresses(organisation))
        return own is not None and own.organisation == organisation and own.url is None

    async def _make_own(self, organisation: str, now: int) -> None:
        """Make the webhook for addresses, unless a request makes it now: it has shown its secret then."""
        async with self._store.making.alone((organisation,), seconds=None):
            if not self._has_own(organisation):
                made = webhook_for_addresses(organisation, "sluice", now)
                await self._store.record_webhook(made.id, made)

    async def take(self, records: Sequence[EventRecord], webhooks_end: int) -> None:
        """Record the deliveries of some events; every webhook counts that was made before them.

        Raises:
            BehindError: as `ready`; KafkaUnavailableError: they are not recorded, or not all.
        """
        await self.ready(webhooks_end, 0)
        now = self._clock.now_ms()
        found: list[Delivery] = []
        for record in records:
            event = _event_in(record)
            if event is None:
                continue
            if wants_own_address(event) and not self._has_own(event.job.organisation):
                await self._make_own(event.job.organisation, now)
            hooks = self._store.webhooks.of(event.job.organisation)
            found += deliveries(event, record.offset, hooks, self._source, now)
        # A known delivery was recorded before a crash; its event is read again.
        wanted = {
            delivery_key(delivery): delivery
            for delivery in found
            if self._store.deliveries.get(delivery_key(delivery)) is None
        }
        room = {
            webhook_id: MOST_PENDING - self._store.deliveries.waiting(webhook_id)
            for webhook_id in {delivery.webhook_id for delivery in wanted.values()}
        }
        writing = []
        for delivery in wanted.values():
            room[delivery.webhook_id] -= 1
            if room[delivery.webhook_id] < 0:
                delivery = too_many(delivery, now, MOST_PENDING)
                text = "event %s of job %s is not delivered: %s"
                fields = {"webhook": delivery.webhook_id, "job": delivery.job_id}
                log.warning(
                    text,
                    delivery.event_id,
                    delivery.job_id,
                    delivery.error,
                    extra=as_event("webhook.given_up", **fields),
                )
            writing.append(self._record(delivery))
        results = await asyncio.gather(*writing, return_exceptions=True)
        failed = next((result for result in results if isinstance(result, BaseException)), None)
        if failed is not None:
            raise failed

    async def _record(self, delivery: Delivery) -> None:
        """Record a delivery; one that Kafka never takes is left out. Its event would come again for ever, before all
        others. Raises KafkaUnavailableError."""
        try:
            await self._store.record(delivery)
        except RecordTooLargeError as error:
            log.error(
                "event %s of job %s is not delivered, since it is too long to be recorded: %s",
                delivery.event_id,
                delivery.job_id,
                error,
                extra=as_event("webhook.given_up", webhook=delivery.webhook_id, job=delivery.job_id),
            )


def _event_in(record: EventRecord) -> JobEvent | None:
    try:
        event = read_history(record.value)
    except UndecodableError:
        return None  # the follower of the history logs it
    return event if isinstance(event, JobEvent) else None
