"""Delivers what is pending: each receiver has a task of its own, so that one that is away holds up no other."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Protocol
from urllib.parse import urlsplit

from msgspec.structs import replace

from api.errors import KafkaUnavailableError
from api.webhooks.metrics import WebhookMetrics
from api.webhooks.posting import Message
from api.webhooks.receiver_queue import ReceiverQueue
from api.webhooks.store import WebhookStore
from control.webhooks.schedule import Outcome, after_attempt, given_up
from control.webhooks.signing import secrets_of
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.telemetry.log_events import as_event
from schemas.messages.webhooks import Delivery, delivery_key

log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 1.0
"""Before a record is written again that Kafka did not take."""
_LOOK_SECONDS: Final = 60.0
_PRUNED_EACH: Final = 10
_REMOVED_AT_ONCE: Final = 100
_BACK_SECONDS: Final = 60.0
"""When a receiver is back, what waits for it goes out at once, but not more often than this."""


class Posting(Protocol):
    """The connections to one receiver."""

    async def post(self, message: Message, at_ms: int) -> Outcome:
        """Send a message; raises nothing that the receiver can cause."""

    async def close(self) -> None:
        """Close every connection."""


class Deliverer:
    """Delivers while it runs. Its process owns the deliveries, and no other one delivers meanwhile."""

    def __init__(
        self,
        store: WebhookStore,
        connections: Callable[[], Posting],
        patience_ms: int,
        metrics: WebhookMetrics,
        owns: Callable[[], bool],
        committed: Callable[[], int],
        clock: Clock = SYSTEM_CLOCK,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        """`owns`: whether this process may still deliver, asked before each request. `committed`: events before this
        offset are not read again, so that their deliveries need not be known any more."""
        self._store = store
        self._connections = connections
        self._patience_ms = patience_ms
        self._metrics = metrics
        self._owns = owns
        self._committed = committed
        self._clock = clock
        self._fraction = fraction
        self._receivers: dict[str, _Receiver] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._settled: Counter[str] = Counter()
        self._going: set[str] = set()
        """Keys of deliveries that are being removed."""

    async def run(self) -> None:
        """Deliver all that is pending, and what comes, until cancelled."""
        feed = self._store.delivery_feed
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                feed.listeners.append(self._seen)
                known = self._store.webhooks.all
                orphans = [delivery_key(one) for one in self._store.deliveries.every() if one.webhook_id not in known]
                tasks.create_task(self._forget_all(orphans))
                for delivery in sorted(self._store.deliveries.every(), key=lambda one: one.place):
                    self._seen(delivery_key(delivery), delivery)
                await asyncio.Event().wait()
        finally:
            if self._seen in feed.listeners:
                feed.listeners.remove(self._seen)
            self._tasks = None
            self._receivers.clear()

    def _seen(self, name: str, delivery: Delivery | None) -> None:
        """Hand a record to its receiver."""
        if delivery is None:
            for receiver in self._receivers.values():
                receiver.queue.drop(name)
            return
        where = f"{delivery.webhook_id} {delivery.url or ''}"
        if where not in self._receivers:
            if delivery.status != "pending" or self._tasks is None:
                return
            self._receivers[where] = _Receiver(self._connections())
            self._tasks.create_task(self._serve(where, self._receivers[where]))
        receiver = self._receivers[where]
        receiver.queue.offer(delivery)
        receiver.changed.set()

    async def _serve(self, where: str, receiver: _Receiver) -> None:
        """Deliver to one receiver until nothing waits for it."""
        lane = receiver.queue
        try:
            while not lane.idle:
                async with asyncio.TaskGroup() as requests:
                    while not lane.idle:
                        receiver.changed.clear()
                        delivery = lane.take(self._clock.now_ms(), self._clock.monotonic())
                        if delivery is not None:
                            requests.create_task(self._deliver(receiver, delivery))
                        else:
                            await self._until_due(receiver)
            # Nothing is awaited between that look and this, so that no record comes to a receiver that has gone.
            self._receivers.pop(where, None)
        finally:
            await receiver.connections.close()

    async def _until_due(self, receiver: _Receiver) -> None:
        left = None
        if receiver.queue.room:
            left = receiver.queue.seconds_left(self._clock.now_ms(), self._clock.monotonic())
        seconds = _LOOK_SECONDS if left is None else min(left, _LOOK_SECONDS)
        waiting = asyncio.ensure_future(receiver.changed.wait())
        pause = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((waiting, pause), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            pause.cancel()

    async def _deliver(self, receiver: _Receiver, delivery: Delivery) -> None:
        try:
            await self._record(await self._tried(receiver, delivery))
            self._prune(delivery.webhook_id)
        finally:
            receiver.queue.settle(delivery_key(delivery))
            receiver.changed.set()

    async def _tried(self, receiver: _Receiver, delivery: Delivery) -> Delivery | None:
        """The delivery after an attempt; None: its webhook is gone, and it goes as well."""
        webhook = self._store.webhooks.all.get(delivery.webhook_id)
        url = delivery.url or (webhook.url if webhook is not None else None)
        if webhook is None or url is None:
            await self._forgotten(delivery_key(delivery))
            return None
        now = self._clock.now_ms()
        if webhook.off_since is not None:
            return given_up(delivery, now, "the webhook is off: its receiver answered 410")
        if not self._owns():
            raise NotOwnerError
        message = Message(
            webhook.organisation, url, delivery.event_id, delivery.body.encode(), secrets_of(webhook, now)
        )
        outcome = await self._posted(receiver, message, now)
        now = self._clock.now_ms()
        after = after_attempt(delivery, outcome, now, self._fraction(), self._patience_ms)
        self._told(after, urlsplit(url).hostname or "?")
        if outcome.gone and delivery.url is None:
            text = "webhook %s of organisation %s is off: its receiver answered 410"
            log.warning(text, webhook.name, webhook.organisation, extra=as_event("webhook.off", webhook=webhook.id))
            await self._until_written(lambda: self._turned_off(webhook.id, now))
        if receiver.queue.met(outcome, self._clock.monotonic(), self._fraction()):
            self._hasten(receiver, now)
        if receiver.queue.away:
            await self._expire(receiver, now, outcome)
        return after

    async def _turned_off(self, webhook_id: str, at: int) -> None:
        webhook = self._store.webhooks.all.get(webhook_id)  # it may have been deleted meanwhile, or have a new secret
        if webhook is not None:
            await self._store.record_webhook(webhook_id, replace(webhook, off_since=at))

    async def _posted(self, receiver: _Receiver, message: Message, now: int) -> Outcome:
        try:
            return await receiver.connections.post(message, now)
        except Exception:  # one event's error must not end the deliveries of all
            log.exception(
                "delivering event %s failed unexpectedly", message.event_id, extra=as_event("webhooks.trouble")
            )
            return Outcome(None, "something went wrong inside the API; its log has the cause")

    def _hasten(self, receiver: _Receiver, now: int) -> None:
        """The receiver is back: what it did not get while it was away goes out now."""
        since = self._clock.monotonic()
        if since - receiver.back_at < _BACK_SECONDS:
            return
        receiver.back_at = since
        for waiting in receiver.queue.waiting():
            if waiting.due_at > now and Outcome(waiting.answer, waiting.error).unreachable:
                receiver.queue.offer(replace(waiting, due_at=now))

    async def _expire(self, receiver: _Receiver, now: int, outcome: Outcome) -> None:
        """Give up what has waited for long enough: of many that wait, few are tried while the receiver is away."""
        for waiting in receiver.queue.waiting():
            if now >= waiting.begun_at + self._patience_ms:
                over = given_up(waiting, now, f"the receiver was away for too long: {outcome.error}")
                self._told(over, "its receiver")
                await self._record(over)

    def _told(self, delivery: Delivery, host: str) -> None:
        """Count and log an attempt. Of an address the host alone is logged: the rest may be a secret."""
        fields = {"webhook": delivery.webhook_id, "job": delivery.job_id}
        match delivery.status:
            case "delivered":
                self._metrics.attempts.labels("delivered").inc()
            case "pending":
                self._metrics.attempts.labels("failed").inc()
                if delivery.attempts in (1, 10):  # the page has the others
                    text = "event %s is not taken by %s, attempt %d: %s"
                    values = delivery.event_id, host, delivery.attempts, delivery.error
                    log.warning(text, *values, extra=as_event("webhook.not_taken", **fields))
            case "failed":
                self._metrics.attempts.labels("failed").inc()
                self._metrics.given_up.inc()
                text = "event %s was not taken by %s in %d attempts, and is given up: %s"
                values = delivery.event_id, host, delivery.attempts, delivery.error
                log.warning(text, *values, extra=as_event("webhook.given_up", **fields))

    async def _record(self, delivery: Delivery | None) -> None:
        if delivery is not None:
            await self._until_written(lambda: self._store.record(delivery))

    async def _forgotten(self, name: str) -> None:
        await self._until_written(lambda: self._store.forget(name))

    async def _until_written(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write until Kafka has it: a delivery that is not recorded would go out again."""
        while True:
            try:
                await write()
                return
            except KafkaUnavailableError as error:
                log.warning("a delivery is not recorded yet: %s", error, extra=as_event("webhooks.trouble"))
                await self._clock.sleep(_AGAIN_SECONDS)

    def _prune(self, webhook_id: str) -> None:
        """Remove, without waiting for it, what need not be kept any more. Now and then is enough."""
        self._settled[webhook_id] += 1
        if self._settled[webhook_id] % _PRUNED_EACH or self._tasks is None:
            return
        surplus = self._store.deliveries.surplus(webhook_id, self._committed())
        names = [name for name in surplus if name not in self._going]
        self._tasks.create_task(self._forget_all(names))

    async def _forget_all(self, names: list[str]) -> None:
        self._going.update(names)
        try:
            for start in range(0, len(names), _REMOVED_AT_ONCE):
                await asyncio.gather(*map(self._forgotten, names[start : start + _REMOVED_AT_ONCE]))
        finally:
            self._going.difference_update(names)


class NotOwnerError(Exception):
    """This process may not deliver any more: another process may own the topic already."""


class _Receiver:
    """One receiver: what waits for it, and the connections to it."""

    def __init__(self, connections: Posting) -> None:
        self.queue = ReceiverQueue()
        self.connections = connections
        self.changed = asyncio.Event()
        self.back_at = -math.inf
