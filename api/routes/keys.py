"""Routes of keys, of the audit trail of security events, and of who the caller is."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.jobs.reading.paging import whole_number
from api.models.principals import (
    KeyList,
    KeyMade,
    KeyRequest,
    KeyView,
    PrincipalView,
    SecurityEventList,
    SecurityEventView,
)
from api.principals.issuing import keys_of, make_key, revoke_key
from api.principals.recent_events import KEPT
from api.web.bodies import short_body
from api.web.parsing import body_as
from api.web.responses import json_answer
from api.web.routing import Answer, Body, Endpoint, Parameter, refusal, unavailable
from api.web.services import address_of, caller, services_of
from runtime.text.formatting import iso_time
from schemas.policies.principals import KeyId, Role
from schemas.policies.security import SecurityEvent

_LIMIT: Final = Parameter("limit", "Events, at most", Annotated[int, Meta(ge=1, le=KEPT)])
_EVENTS_LIMIT: Final = 100


async def create_key(request: Request) -> Response:
    """Make a key."""
    services, asking = services_of(request), caller(request)
    body = body_as(await short_body(request), KeyRequest)
    made = await make_key(
        services.principals, services.audit, services.catalog.quotas, asking, address_of(request), body
    )
    return json_answer(made, 201, {"Location": f"/v1/keys/{made.id}", "Cache-Control": "no-store"})


async def list_keys(request: Request) -> Response:
    """The keys that the caller may manage."""
    await services_of(request).authenticator.caught_up()
    return json_answer(KeyList(keys=keys_of(services_of(request).principals, caller(request))))


async def delete_key(request: Request) -> Response:
    """Revoke a key."""
    services, asking = services_of(request), caller(request)
    await services.authenticator.caught_up()
    key_id = request.path_params["key_id"]
    return json_answer(await revoke_key(services.principals, services.audit, asking, address_of(request), key_id))


async def list_security_events(request: Request) -> Response:
    """The newest security events."""
    services, text = services_of(request), request.query_params.get(_LIMIT.name)
    limit = _EVENTS_LIMIT if text is None else whole_number(_LIMIT.name, text, 1, KEPT)
    found = services.audit.newest(caller(request), limit)
    return json_answer(SecurityEventList(events=[event_view(event) for event in found]))


def event_view(event: SecurityEvent) -> SecurityEventView:
    """An event as admins see it."""
    return SecurityEventView(
        at=iso_time(event.at) or "",
        event=event.event,
        by=event.by,
        key_id=event.key_id,
        organisations=None if event.organisations is None else list(event.organisations),
        address=event.address,
        about=event.about,
        why=event.why,
        unlogged=event.unlogged,
    )


async def get_principal(request: Request) -> Response:
    """Who the caller is."""
    asking = caller(request)
    return json_answer(
        PrincipalView(
            name=asking.name,
            kind=asking.kind,
            role=asking.role,
            organisations=None if asking.organisations is None else sorted(asking.organisations),
            key_id=asking.key_id,
            expires_at=iso_time(asking.ends_at),
        )
    )


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/v1/keys",
        create_key,
        "createKey",
        "Make a key for a person or a service; this answer alone has its text",
        (
            Answer(201, "The key", KeyMade, {"Location": "Where the key is"}),
            refusal(403, "The caller's role does not allow it, or one of the organisations is not the caller's"),
            refusal(409, "There are too many keys in this installation"),
            unavailable("Kafka does not answer, or the API has just started"),
        ),
        body=Body(KeyRequest),
        role=Role.ADMIN,
    ),
    Endpoint(
        "GET",
        "/v1/keys",
        list_keys,
        "listKeys",
        "Keys, newest first, the revoked ones included",
        (Answer(200, "The keys", KeyList),),
        role=Role.ADMIN,
    ),
    Endpoint(
        "DELETE",
        "/v1/keys/{key_id}",
        delete_key,
        "revokeKey",
        "Revoke a key: within a second it is refused everywhere, and its sessions and downloads end",
        (
            Answer(200, "The key", KeyView),
            refusal(404, "There is no such key"),
            unavailable("Kafka does not answer, or the API has just started"),
        ),
        (Parameter("key_id", "The key's id", KeyId, "path"),),
        role=Role.ADMIN,
    ),
    Endpoint(
        "GET",
        "/v1/security-events",
        list_security_events,
        "listSecurityEvents",
        "Who came in, was refused, or made or revoked keys: the newest first",
        (Answer(200, "The events", SecurityEventList),),
        (_LIMIT,),
        role=Role.ADMIN,
    ),
    Endpoint(
        "GET",
        "/v1/principal",
        get_principal,
        "getPrincipal",
        "Who the caller is, and what it may do",
        (Answer(200, "The caller", PrincipalView),),
        role=Role.VIEWER,
    ),
)
