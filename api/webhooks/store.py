"""The webhooks and their deliveries, to read and to write."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from api.errors import KafkaUnavailableError, unavailable
from api.locks import OrganisationLocks
from api.readmodel.appender import Appender
from api.readmodel.table_feed import TableFeed
from control.webhooks.registry import Deliveries, Webhooks
from schemas.messages.codec import encode
from schemas.messages.webhooks import Delivery, Webhook, delivery_key
from schemas.topics import TopicName

_CATCH_UP_SECONDS: Final = 5.0
_AT_ONCE: Final = 100


class Writer(Protocol):
    """Appends to the two topics."""

    async def append(self, topic: TopicName, name: str, value: bytes | None) -> int:
        """Append a record, or a tombstone; returns its offset. Raises KafkaUnavailableError."""

    async def end_of_events(self) -> int:
        """The offset behind the last record of ``job-events``. Raises KafkaUnavailableError."""


class WebhookStore:
    """The tables of webhooks and of deliveries. A record counts in this process as soon as Kafka has acknowledged
    it."""

    def __init__(self, writer: Writer) -> None:
        self.webhooks = Webhooks()
        self.deliveries = Deliveries()
        self.webhook_feed: TableFeed[Webhook] = TableFeed(self.webhooks.put)
        self.delivery_feed: TableFeed[Delivery] = TableFeed(self.deliveries.put)
        self.making = OrganisationLocks()
        self._writer = writer

    async def caught_up(self) -> None:
        """Wait until both tables have been read once.

        Raises:
            ApiError: 503, they are not yet.
        """
        for feed in (self.webhook_feed, self.delivery_feed):
            if not await feed.until_caught_up(_CATCH_UP_SECONDS):
                raise unavailable("the API is still reading its topics from Kafka; try again in a moment")

    async def end_of_events(self) -> int:
        """The offset behind the newest event of a job. Raises as `put`."""
        try:
            return await self._writer.end_of_events()
        except KafkaUnavailableError as error:
            raise unavailable("Kafka does not answer, so no webhook can be made; check `sluice status`") from error

    async def put(self, webhook: Webhook) -> None:
        """Write a webhook.

        Raises:
            ApiError: 503, Kafka does not answer, so that it is not known whether it was written.
        """
        await self._write(webhook.id, webhook)

    async def remove(self, webhook_id: str) -> None:
        """Remove a webhook, and its deliveries. Raises as `put`."""
        await self._write(webhook_id, None)
        names = [delivery_key(delivery) for delivery in self.deliveries.of(webhook_id)]
        for first in range(0, len(names), _AT_ONCE):
            # The process that delivers next removes what is left.
            forgetting = (self.forget(name) for name in names[first : first + _AT_ONCE])
            await asyncio.gather(*forgetting, return_exceptions=True)

    async def _write(self, name: str, webhook: Webhook | None) -> None:
        try:
            await self.record_webhook(name, webhook)
        except KafkaUnavailableError as error:
            text = "Kafka does not answer, so it is not known whether this was recorded; check `sluice status`"
            raise unavailable(f"{text}, look, and try again") from error

    async def record_webhook(self, name: str, webhook: Webhook | None) -> None:
        """Write a webhook, or its tombstone. Raises KafkaUnavailableError."""
        value = None if webhook is None else encode(webhook)
        self.webhook_feed.written(await self._writer.append("webhooks", name, value), name, webhook)

    async def record(self, delivery: Delivery) -> None:
        """Write how far a delivery has come. Raises KafkaUnavailableError."""
        name = delivery_key(delivery)
        offset = await self._writer.append("webhook-deliveries", name, encode(delivery))
        self.delivery_feed.written(offset, name, delivery)

    async def repeat(self, delivery: Delivery) -> None:
        """Write that a delivery is to be sent again. Raises as `put`."""
        try:
            await self.record(delivery)
        except KafkaUnavailableError as error:
            raise unavailable("Kafka does not answer, so nothing is sent again; check `sluice status`") from error

    async def forget(self, name: str) -> None:
        """Remove a delivery. Raises KafkaUnavailableError."""
        offset = await self._writer.append("webhook-deliveries", name, None)
        self.delivery_feed.written(offset, name, None)


class KafkaWebhookWriter:
    """Appends to the topics of Kafka."""

    def __init__(self, appender: Appender) -> None:
        self._appender = appender

    async def append(self, topic: TopicName, name: str, value: bytes | None) -> int:
        """See `Writer`."""
        return await self._appender.append(topic, name.encode(), value)

    async def end_of_events(self) -> int:
        """See `Writer`."""
        return await self._appender.end_of("job-events")
