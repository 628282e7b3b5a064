"""The page of webhooks, for operators: which there are, how they fare, and what they delivered last."""

from __future__ import annotations

import re
import secrets
from typing import Any, Final, get_args

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.errors import ApiError, invalid
from api.pages import rendering
from api.pages.fields import fields_of
from api.web.parsing import values_as
from api.web.routing import Handler
from api.web.services import asking_of, caller, services_of
from api.webhooks.managing import (
    deliveries_of,
    make_webhook,
    redeliver,
    remove_webhook,
    renew_secret,
    visible_webhook,
    webhooks_of,
)
from api.webhooks.models import DeliveryView, TestView, WebhookMade, WebhookRequest, WebhookView
from api.webhooks.sending import patience_ms
from control.webhooks.signing import new_webhook_id
from schemas.job import State
from schemas.messages.webhooks import WEBHOOK_ID_PATTERN, EventType, Webhook

_SHOWN: Final = 20
CONDITIONS: Final = {
    "unused": "no event was sent yet",
    "working": "the last event was taken",
    "failing": "the last event was not taken",
    "off": "its receiver answered 410 and wants no more; a test that it takes turns it on again",
}


async def show_webhooks(request: Request) -> Response:
    """The webhooks, and the form."""
    return await _page(request)


async def create_webhook(request: Request) -> Response:
    """Make a webhook, and show its secret: this one answer has it."""
    fields, services = await fields_of(request), services_of(request)
    once = fields.get("once", "")
    if not re.match(WEBHOOK_ID_PATTERN, once):
        raise invalid("this form can't be read; open the page anew")
    await services.webhooks.caught_up()
    try:
        body = values_as(_wanted(fields), WebhookRequest)
        made = await make_webhook(services.webhooks, asking_of(request), body, once)
    except ApiError as error:
        if error.code not in (400, 403, 409, 429):
            raise
        return await _page(request, error.code, problem=error.message, given=fields)
    return await _page(request, made=made)


async def _delete(request: Request) -> Response:
    await remove_webhook(services_of(request).webhooks, asking_of(request), (await _named(request)).id)
    return RedirectResponse("/webhooks", 303)


async def _secret(request: Request) -> Response:
    made = await renew_secret(services_of(request).webhooks, asking_of(request), (await _named(request)).id)
    return await _page(request, made=made)


async def _test(request: Request) -> Response:
    webhook, services = await _named(request), services_of(request)
    return await _page(request, tried=(webhook, await services.trials.run(services.webhooks, webhook)))


async def _redeliver(request: Request) -> Response:
    webhook = await _named(request)
    event_id = (await fields_of(request)).get("event_id") or None
    await redeliver(services_of(request).webhooks, webhook, event_id)
    return RedirectResponse("/webhooks", 303)


ACTIONS: Final[dict[str, Handler]] = {"delete": _delete, "secret": _secret, "test": _test, "redeliver": _redeliver}
"""What a button does -> handler."""


async def _named(request: Request) -> Webhook:
    store = services_of(request).webhooks
    await store.caught_up()
    return visible_webhook(store, caller(request), request.path_params["webhook_id"])


def _wanted(fields: dict[str, str]) -> dict[str, Any]:
    """The webhook that the form asks for."""
    wanted: dict[str, Any] = {}
    for name in ("url", "name", "organisation"):
        text = fields.get(name, "").strip()
        if text:
            wanted[name] = text
    for name in ("states", "operations", "events"):
        chosen = fields.get(name, "").replace(",", " ").split()
        if chosen:
            wanted[name] = chosen
    return wanted


async def _page(
    request: Request,
    code: int = 200,
    made: WebhookMade | None = None,
    problem: str | None = None,
    given: dict[str, str] | None = None,
    tried: tuple[Webhook, TestView] | None = None,
) -> Response:
    services, asking = services_of(request), caller(request)
    store = services.webhooks
    await store.caught_up()
    patience = patience_ms(services.settings)
    shown: list[tuple[WebhookView, list[DeliveryView]]] = []
    for view in webhooks_of(store, asking, None).webhooks:
        newest = deliveries_of(store, store.webhooks.all[view.id], None, _SHOWN, patience)
        shown.append((view, newest.deliveries))
    return rendering.page(
        request,
        "webhooks.html",
        code,
        webhooks=shown,
        conditions=CONDITIONS,
        made=made,
        tried=tried,
        problem=problem,
        given=given or {},
        once=new_webhook_id(secrets.token_bytes),
        own=asking.own_organisation or "",
        states=[state.value for state in State],
        events=list(get_args(EventType)),
        operations=sorted(services.catalog.operations),
        hours=services.settings.webhook_retry_hours,
    )
