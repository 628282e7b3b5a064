"""Routes of webhooks."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.errors import invalid
from api.jobs.reading.paging import whole_number
from api.web.bodies import short_body
from api.web.parsing import body_as
from api.web.responses import json_answer
from api.web.routing import Answer, Body, Endpoint, Parameter, refusal, unavailable
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
from api.webhooks.models import (
    DeliveryList,
    Redelivered,
    RedeliverRequest,
    TestView,
    WebhookList,
    WebhookMade,
    WebhookRequest,
    WebhookView,
)
from api.webhooks.sending import patience_ms
from api.webhooks.views import webhook_view
from control.creation.admission import is_organisation
from schemas import bounds
from schemas.messages.webhooks import DeliveryStatus, WebhookId
from schemas.policies.principals import Role

_PATH: Final = "/v1/webhooks/{webhook_id}"
_WHOSE: Final = Parameter("organisation", "Whose webhooks; left out: of all that the caller may see", bounds.Name)
_ID: Final = Parameter("webhook_id", "The webhook's id", WebhookId, "path")
_MOST: Final = 1000
_LIMIT: Final = Parameter("limit", "Deliveries, at most", Annotated[int, Meta(ge=1, le=_MOST)])
_STATUS: Final = Parameter("status", "Only deliveries with this status", DeliveryStatus)
_SHOWN: Final = 50
_STATUSES: Final[tuple[DeliveryStatus, ...]] = ("pending", "delivered", "failed")
_NONE: Final = refusal(404, "There is no such webhook")
_SILENT: Final = unavailable("Kafka does not answer, or the API has just started")
_NO_STORE: Final = {"Cache-Control": "no-store"}


async def list_webhooks(request: Request) -> Response:
    """The webhooks that the caller may see."""
    services, whose = services_of(request), request.query_params.get(_WHOSE.name)
    if whose is not None and not is_organisation(whose):
        raise invalid(f"organisation {whose[:80]!r} is not a name that can be used")
    await services.webhooks.caught_up()
    return json_answer(webhooks_of(services.webhooks, caller(request), whose))


async def create_webhook(request: Request) -> Response:
    """Make a webhook."""
    store = services_of(request).webhooks
    body = body_as(await short_body(request), WebhookRequest)
    await store.caught_up()
    made = await make_webhook(store, asking_of(request), body)
    return json_answer(made, 201, {"Location": f"/v1/webhooks/{made.id}", **_NO_STORE})


async def get_webhook(request: Request) -> Response:
    """One webhook."""
    store = services_of(request).webhooks
    await store.caught_up()
    return json_answer(webhook_view(store, visible_webhook(store, caller(request), _named(request))))


async def delete_webhook(request: Request) -> Response:
    """Remove a webhook."""
    store = services_of(request).webhooks
    await store.caught_up()
    await remove_webhook(store, asking_of(request), _named(request))
    return Response(status_code=204)


async def try_webhook(request: Request) -> Response:
    """Send a test."""
    services = services_of(request)
    await services.webhooks.caught_up()
    webhook = visible_webhook(services.webhooks, caller(request), _named(request))
    return json_answer(await services.trials.run(services.webhooks, webhook))


async def make_secret(request: Request) -> Response:
    """Make a new secret."""
    store = services_of(request).webhooks
    await store.caught_up()
    return json_answer(await renew_secret(store, asking_of(request), _named(request)), headers=_NO_STORE)


async def list_deliveries(request: Request) -> Response:
    """The deliveries of a webhook."""
    services, query = services_of(request), request.query_params
    text, asked = query.get(_LIMIT.name), query.get(_STATUS.name)
    limit = _SHOWN if text is None else whole_number(_LIMIT.name, text, 1, _MOST)
    status = next((known for known in _STATUSES if known == asked), None)
    if asked is not None and status is None:
        raise invalid(f"status {asked[:80]!r} is not known; use one of {', '.join(_STATUSES)}")
    await services.webhooks.caught_up()
    webhook = visible_webhook(services.webhooks, caller(request), _named(request))
    return json_answer(deliveries_of(services.webhooks, webhook, status, limit, patience_ms(services.settings)))


async def redeliver_events(request: Request) -> Response:
    """Send deliveries again."""
    store = services_of(request).webhooks
    body = body_as(await short_body(request), RedeliverRequest)
    await store.caught_up()
    webhook = visible_webhook(store, caller(request), _named(request))
    return json_answer(await redeliver(store, webhook, body.event_id))


def _named(request: Request) -> str:
    name: str = request.path_params["webhook_id"]
    return name


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/v1/webhooks",
        list_webhooks,
        "listWebhooks",
        "Webhooks, and whether their receivers take events",
        (Answer(200, "The webhooks, by organisation and name", WebhookList), _SILENT),
        (_WHOSE,),
        role=Role.OPERATOR,
    ),
    Endpoint(
        "POST",
        "/v1/webhooks",
        create_webhook,
        "createWebhook",
        "Make a webhook: an address to which events of jobs are sent; this answer alone has its secret",
        (
            Answer(201, "The webhook", WebhookMade, {"Location": "Where the webhook is"}),
            refusal(403, "The caller's role does not allow it, or the organisation is not the caller's"),
            refusal(409, "The name is taken"),
            _SILENT,
        ),
        body=Body(WebhookRequest),
        role=Role.OPERATOR,
    ),
    Endpoint(
        "GET",
        _PATH,
        get_webhook,
        "getWebhook",
        "One webhook",
        (Answer(200, "The webhook", WebhookView), _NONE, _SILENT),
        (_ID,),
        role=Role.OPERATOR,
    ),
    Endpoint(
        "DELETE",
        _PATH,
        delete_webhook,
        "deleteWebhook",
        "Remove a webhook; Sluice does not deliver the events that wait for it",
        (Answer(204, "There is no such webhook any more"), _NONE, _SILENT),
        (_ID,),
        role=Role.OPERATOR,
    ),
    Endpoint(
        "POST",
        f"{_PATH}/test",
        try_webhook,
        "testWebhook",
        "Send a test, and wait for what its receiver answers",
        (
            Answer(200, "Whether the receiver took the test", TestView),
            refusal(400, "The webhook has no address of its own"),
            _NONE,
            _SILENT,
        ),
        (_ID,),
        role=Role.OPERATOR,
    ),
    Endpoint(
        "POST",
        f"{_PATH}/secret",
        make_secret,
        "makeWebhookSecret",
        "Make a new secret; the one before it signs beside it for a day",
        (Answer(200, "The webhook; this answer alone has the secret", WebhookMade), _NONE, _SILENT),
        (_ID,),
        role=Role.OPERATOR,
    ),
    Endpoint(
        "GET",
        f"{_PATH}/deliveries",
        list_deliveries,
        "listDeliveries",
        "Deliveries of a webhook: all that wait, and the newest of the others",
        (Answer(200, "The deliveries, newest event first", DeliveryList), _NONE, _SILENT),
        (_ID, _LIMIT, _STATUS),
        role=Role.OPERATOR,
    ),
    Endpoint(
        "POST",
        f"{_PATH}/redeliver",
        redeliver_events,
        "redeliver",
        "Send one delivery again, or all that were given up",
        (
            Answer(200, "How many are sent again", Redelivered),
            refusal(404, "There is no such webhook, or it has no such delivery"),
            refusal(409, "The webhook is off"),
            _SILENT,
        ),
        (_ID,),
        body=Body(RedeliverRequest, required=False),
        role=Role.OPERATOR,
    ),
)
