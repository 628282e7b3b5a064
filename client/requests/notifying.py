"""Requests on webhooks: who is told of what becomes of jobs, and what was delivered to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

from client.answers import DeliveryList, Redelivered, Webhook, WebhookList, WebhookMade, WebhookTest
from client.protocol.exchange import asked, path
from client.protocol.steps import Call, Steps

_TEST_SECONDS: Final = 330.0
"""The API waits for the receiver first, for up to 300 s (its setting SLUICE_WEBHOOK_SECONDS)."""

WebhookLike: TypeAlias = Webhook | WebhookMade | str
"""A webhook, or its id."""


def create_webhook(
    url: str | None,
    *,
    name: str | None = None,
    organisation: str | None = None,
    states: Sequence[str] = (),
    operations: Sequence[str] = (),
    events: Sequence[str] = (),
) -> Steps[WebhookMade]:
    """Make a webhook; ``secret`` of the answer is shown this once.

    It is not repeated where the server may have made one. `url`: None: the organisation's webhook for addresses that
    jobs name (`notify`). `name`: None: the host of the address. `organisation`: None: the key's own if it has just one,
    else ``default``. `states`, `operations`, `events`: only events after which the job is in one of these states, of
    jobs of these operations, of these types, such as ``sluice.job.failed``; empty: all.

    Raises:
        BadRequest: nothing may be sent to the address, or a state, an operation or a type is not known.
        Conflict: the name is taken.
        TooManyRequests: the organisation has as many as it may have.
    """
    given = {"url": url, "name": name, "organisation": organisation}
    body: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    body |= {"states": list(states), "operations": list(operations), "events": list(events)}
    return asked(Call(method="POST", path="/v1/webhooks", answer=WebhookMade, json=body, repeatable=False))


def webhooks(organisation: str | None = None) -> Steps[WebhookList]:
    """The webhooks, and how they fare, by organisation and name; None: of all organisations that the key may see."""
    return asked(Call(method="GET", path="/v1/webhooks", answer=WebhookList, params={"organisation": organisation}))


def webhook(webhook: WebhookLike) -> Steps[Webhook]:
    """One of them, as it is now.

    Raises:
        NotFound: there is none of this id that the key may see. So do the methods below.
    """
    return asked(Call(method="GET", path=path("webhooks", _id_of(webhook)), answer=Webhook))


def delete_webhook(webhook: WebhookLike) -> Steps[None]:
    """Delete a webhook; what waits for it is not delivered any more."""
    return asked(Call(method="DELETE", path=path("webhooks", _id_of(webhook)), repeatable=False))


def renew_webhook_secret(webhook: WebhookLike) -> Steps[WebhookMade]:
    """Make a new secret, which is shown this once; the one before it signs beside it for a day.

    It is not repeated where the server may have made one.
    """
    where = path("webhooks", _id_of(webhook), "secret")
    return asked(Call(method="POST", path=where, answer=WebhookMade, repeatable=False))


def test_webhook(webhook: WebhookLike) -> Steps[WebhookTest]:
    """Send a test event, and wait for what the receiver makes of it. A webhook that is off is on again if it takes it.

    Raises:
        BadRequest: it is the one for addresses that jobs name, and has no address of its own.
        TooManyRequests: another test of the organisation runs.
    """
    where = path("webhooks", _id_of(webhook), "test")
    return asked(
        Call(
            method="POST",
            path=where,
            answer=WebhookTest,
            timeout_seconds=_TEST_SECONDS,
            repeatable=False,
            records=False,
        )
    )


def deliveries(
    webhook: WebhookLike,
    *,
    status: Literal["pending", "delivered", "failed"] | None = None,
    limit: int | None = None,
) -> Steps[DeliveryList]:
    """Its deliveries, newest event first: all that wait, and the newest of the others.

    `limit`: at most 1,000; None: 50.
    """
    params = {"status": status, "limit": limit}
    return asked(
        Call(method="GET", path=path("webhooks", _id_of(webhook), "deliveries"), answer=DeliveryList, params=params)
    )


def redeliver(webhook: WebhookLike, event_id: str | None = None) -> Steps[Redelivered]:
    """Send one event again, whether it was taken or not; None: all that were given up.

    Raises:
        Conflict: the webhook is off, as its receiver answered 410; test it first.
    """
    body = {} if event_id is None else {"event_id": event_id}
    where = path("webhooks", _id_of(webhook), "redeliver")
    return asked(Call(method="POST", path=where, answer=Redelivered, json=body, repeatable=False))


def _id_of(webhook: WebhookLike) -> str:
    return webhook if isinstance(webhook, str) else webhook.id
