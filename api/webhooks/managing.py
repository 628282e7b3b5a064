"""Making, changing and removing webhooks, for REST and the page alike."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from api.errors import ApiError, invalid, refused
from api.outgoing.lookups import HostNotFoundError, Lookups, PrivateAddressError
from api.principals.audit import Audit
from api.principals.caller import Caller
from api.webhooks.intake import webhook_for_addresses
from api.webhooks.models import (
    DeliveryList,
    Redelivered,
    WebhookList,
    WebhookMade,
    WebhookRequest,
)
from api.webhooks.store import WebhookStore
from api.webhooks.views import delivery_view, webhook_made, webhook_view
from control.creation.admission import Catalog, is_organisation
from control.creation.quotas import room_problem
from control.webhooks.rules import ADDRESSES, SETTING, is_address, name_problem, notify_problem, receiver_address
from control.webhooks.schedule import DAY_MS, anew
from control.webhooks.signing import id_for_addresses, id_of_form, new_secret, new_webhook_id
from runtime.clock import now_ms
from runtime.network.addresses import AddressError
from runtime.settings import Settings
from schemas.job import Options
from schemas.messages.webhooks import DeliveryStatus, Webhook
from schemas.policies.security import Occurrence

_OLD_SECRET_MS: Final = DAY_MS
"""A replaced secret still signs for this long, beside the new one."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for something, and what it may be."""

    caller: Caller
    address: str
    """Where the request came from."""
    settings: Settings
    catalog: Catalog
    audit: Audit
    lookups: Lookups


def webhooks_of(store: WebhookStore, caller: Caller, organisation: str | None) -> WebhookList:
    """The webhooks that the caller may see, of one organisation or of all."""
    found = [
        webhook
        for webhook in store.webhooks.all.values()
        if caller.may_see(webhook.organisation) and organisation in (None, webhook.organisation)
    ]
    found.sort(key=lambda webhook: (webhook.organisation, webhook.name, webhook.created_at))
    return WebhookList(webhooks=[webhook_view(store, webhook) for webhook in found])


def visible_webhook(store: WebhookStore, caller: Caller, webhook_id: str) -> Webhook:
    """The webhook, if it is one of the caller's organisations.

    Raises:
        ApiError: 404.
    """
    webhook = store.webhooks.all.get(webhook_id)
    if webhook is None or not caller.may_see(webhook.organisation):
        raise ApiError(404, f"there is no webhook {webhook_id[:20]}; GET /v1/webhooks lists those that you may see")
    return webhook


async def make_webhook(
    store: WebhookStore, asking: Asking, body: WebhookRequest, once: str | None = None
) -> WebhookMade:
    """A new webhook, with its secret. `once`: what a form says of itself; sent twice it makes one webhook.

    Raises:
        ApiError: 400, there can be no such webhook; 403, the organisation is not the caller's; 409, its name is taken,
            or the form has made one; 429, there are too many; 503, Kafka does not answer, or as `require_receiver`.
    """
    organisation = _organisation(body, asking.caller)
    webhook_id = id_of_form(organisation, once) if once is not None else new_webhook_id(secrets.token_bytes)
    if body.url is not None:
        for operation in body.operations:
            if operation not in asking.catalog.operations:
                known = ", ".join(sorted(asking.catalog.operations))
                raise invalid(f"operation {operation[:80]!r} is not known; use some of {known}")
        await require_receiver(asking.lookups, body.url, organisation, asking.settings)
    async with store.making.alone((organisation,)):
        webhook = _new_webhook(store, asking, body, organisation, webhook_id)
        if webhook.url is not None:
            webhook = replace(webhook, since=await store.end_of_events())
        await store.put(webhook)
    _note(asking, "webhook-created", webhook)
    return webhook_made(store, webhook)


async def remove_webhook(store: WebhookStore, asking: Asking, webhook_id: str) -> None:
    """Remove a webhook; what waits for it is not delivered any more. Raises as `visible_webhook` and `put`."""
    webhook = visible_webhook(store, asking.caller, webhook_id)
    await store.remove(webhook.id)
    _note(asking, "webhook-deleted", webhook)


async def renew_secret(store: WebhookStore, asking: Asking, webhook_id: str) -> WebhookMade:
    """The webhook with a new secret; the one before it signs beside it for a day. Raises as `remove_webhook`."""
    webhook = visible_webhook(store, asking.caller, webhook_id)
    renewed = replace(
        webhook,
        secret=new_secret(secrets.token_bytes),
        old_secret=webhook.secret,
        old_until=now_ms() + _OLD_SECRET_MS,
    )
    await store.put(renewed)
    _note(asking, "webhook-secret-made", webhook)
    return webhook_made(store, renewed)


def deliveries_of(
    store: WebhookStore, webhook: Webhook, status: DeliveryStatus | None, limit: int, patience_ms: int
) -> DeliveryList:
    """The newest deliveries of a webhook."""
    found = [delivery for delivery in store.deliveries.of(webhook.id) if status in (None, delivery.status)]
    found.sort(key=lambda delivery: (delivery.place, delivery.created_at), reverse=True)
    shown = [delivery_view(delivery, patience_ms) for delivery in found[:limit]]
    return DeliveryList(webhook_id=webhook.id, total=len(found), deliveries=shown)


async def redeliver(store: WebhookStore, webhook: Webhook, event_id: str | None) -> Redelivered:
    """Send deliveries again: one, or all that were given up.

    Raises:
        ApiError: 404, the webhook has no such delivery; 409, the webhook is off; 503, Kafka does not answer.
    """
    if webhook.off_since is not None:
        raise ApiError(409, f"webhook {webhook.name} is off, as its receiver answered 410; test it first")
    own = store.deliveries.of(webhook.id)
    if event_id is None:
        wanted = [delivery for delivery in own if delivery.status == "failed"]
    else:
        wanted = [delivery for delivery in own if delivery.event_id == event_id]
        if not wanted:
            raise ApiError(404, f"webhook {webhook.name} has no delivery {event_id[:80]}, or it is not kept any more")
    for delivery in wanted:
        await store.repeat(anew(delivery, now_ms()))
    return Redelivered(deliveries=len(wanted))


async def require_receiver(lookups: Lookups, url: str, organisation: str, settings: Settings) -> str:
    """The host of an address that something may be sent to. Each request asks again: names may lead elsewhere by then.

    Raises:
        ApiError: 400, nothing may be sent there; 503, too many names are looked up.
    """
    allowed = settings.webhook_allow_private
    try:
        address = receiver_address(url, allowed)
        with suppress(HostNotFoundError):  # it may be found by the time of the first delivery; a test tells
            await lookups.network_address(address, organisation, allow_private=allowed)
    except AddressError as error:
        raise invalid(str(error)) from error
    except PrivateAddressError as error:
        raise invalid(f"{error} (see {SETTING})") from error
    return address.host


async def require_notify(
    store: WebhookStore, lookups: Lookups, options: Options, organisation: str, settings: Settings
) -> None:
    """Require that a job can tell those whom its options name.

    Raises:
        ApiError: 400, there is no such webhook, or nothing may be sent to the address; 503 as `require_receiver`.
    """
    named, problem = options.notify, notify_problem(options)
    if problem is not None:
        raise invalid(problem)
    if named is None:
        return
    if is_address(named):
        await require_receiver(lookups, named, organisation, settings)
        return
    await store.caught_up()
    if store.webhooks.named(organisation, named) is None:
        raise invalid(f"notify: organisation {organisation} has no webhook {named[:80]!r}; GET /v1/webhooks lists them")


def _organisation(body: WebhookRequest, caller: Caller) -> str:
    organisation = body.organisation or caller.own_organisation or "default"
    if not is_organisation(organisation):
        raise invalid(f"organisation {organisation[:80]!r} is not a name that can be used")
    if not caller.may_see(organisation):
        text = f"this API key may not act for organisation {organisation}"
        raise ApiError(403, text, {"organisation": organisation})
    return organisation


def _new_webhook(
    store: WebhookStore, asking: Asking, body: WebhookRequest, organisation: str, webhook_id: str
) -> Webhook:
    """Raises ApiError: 400, 409 or 429."""
    if webhook_id in store.webhooks.all:
        text = f"this form has made webhook {webhook_id} already; make a new secret of it if you don't have its own"
        raise ApiError(409, text)
    own = store.webhooks.of(organisation)
    if body.url is None:
        webhook = _for_addresses(body, organisation, own, asking.caller.name)
    else:
        webhook = Webhook(
            id=webhook_id,
            name=_name(body, receiver_address(body.url, asking.settings.webhook_allow_private).host, own),
            organisation=organisation,
            url=body.url,
            states=tuple(dict.fromkeys(body.states)),
            operations=tuple(dict.fromkeys(body.operations)),
            events=tuple(dict.fromkeys(body.events)),
            secret=new_secret(secrets.token_bytes),
            created_at=now_ms(),
            created_by=asking.caller.name,
        )
    full = room_problem("webhooks", organisation, len(own), asking.catalog.quotas.of(organisation).webhooks)
    if full is not None:
        raise refused(full)
    return webhook


def _for_addresses(body: WebhookRequest, organisation: str, own: Collection[Webhook], by: str) -> Webhook:
    if body.name not in (None, ADDRESSES) or body.states or body.operations or body.events:
        raise invalid(
            "url is missing; without it this is the webhook for addresses that jobs name, which has no name of its "
            "own, and no states, operations or events"
        )
    if any(webhook.id == id_for_addresses(organisation) for webhook in own):
        raise ApiError(
            409, f"organisation {organisation} has its webhook for addresses that jobs name; ask for a new secret of it"
        )
    return webhook_for_addresses(organisation, by, now_ms())


def _name(body: WebhookRequest, host: str, own: Collection[Webhook]) -> str:
    taken = {webhook.name for webhook in own} | {ADDRESSES}
    if body.name is not None:
        problem = name_problem(body.name)
        if problem is not None:
            raise invalid(problem)
        if body.name in taken:
            raise ApiError(409, f"there is a webhook {body.name!r} already; use another name, or delete it first")
        return body.name
    plain = "".join(sign if sign.isalnum() or sign in ".-" else "-" for sign in host)
    plain = plain.strip(".-")[:56] or "webhook"
    names = (plain if number == 1 else f"{plain}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _note(asking: Asking, event: Occurrence, webhook: Webhook) -> None:
    about = f"{webhook.name} of {webhook.organisation}"
    asking.audit.note(event, asking.caller, asking.address, webhook.id, about)
