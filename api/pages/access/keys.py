"""The page of keys, for admins: who has one, a form that makes one, and a button that revokes each."""

from __future__ import annotations

import secrets
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.errors import ApiError, invalid
from api.models.principals import KeyMade, KeyRequest
from api.pages import rendering
from api.pages.fields import fields_of
from api.principals.issuing import keys_of, make_key, revoke_key
from api.web.parsing import values_as
from api.web.services import address_of, caller, services_of
from control.principals.keys import is_id, new_key
from schemas.policies.principals import Role
from schemas.policies.security import Occurrence, SecurityEvent

_EVENTS_SHOWN: Final = 20
_OCCURRED: Final[dict[Occurrence, str]] = {
    "signed-in": "signed in",
    "signed-out": "signed out",
    "refused": "was refused",
    "slowed": "was refused, and has to wait now",
    "role-refused": "asked for more than the role allows",
    "organisation-refused": "asked for another organisation",
    "key-created": "made key",
    "key-revoked": "revoked key",
    "purge-requested": "had the values removed of",
    "webhook-created": "made webhook",
    "webhook-deleted": "deleted webhook",
    "webhook-secret-made": "made a new secret of webhook",
}


async def show_keys(request: Request) -> Response:
    """The keys, and the form."""
    return await _page(request)


async def create_key(request: Request) -> Response:
    """Make a key, and show its text: this one answer has it."""
    fields, services, asking = await fields_of(request), services_of(request), caller(request)
    once = fields.get("once", "")
    if not is_id(once):
        raise invalid("this form can't be read; open the page anew")
    try:
        # The form names the id, so that a form that is sent twice makes one key.
        async with services.creating.held(f"key/{once}"):
            if once in services.principals.feed.registry.keys:
                text = f"this form has made key {once} already; revoke it if you don't have its text, and make another"
                raise ApiError(409, text)
            made = new_key(secrets.token_bytes, once)
            body = values_as(_wanted(fields), KeyRequest)
            key = await make_key(
                services.principals, services.audit, services.catalog.quotas, asking, address_of(request), body, made
            )
    except ApiError as error:
        if error.code not in (400, 403, 409, 429):
            raise
        return await _page(request, error.code, problem=error.message, given=fields)
    return await _page(request, made=key)


async def revoke(request: Request) -> Response:
    """Revoke a key."""
    services, asking = services_of(request), caller(request)
    await services.authenticator.caught_up()
    await revoke_key(services.principals, services.audit, asking, address_of(request), request.path_params["key_id"])
    return RedirectResponse("/keys", 303)


async def _page(
    request: Request,
    code: int = 200,
    made: KeyMade | None = None,
    problem: str | None = None,
    given: dict[str, str] | None = None,
) -> Response:
    services, asking = services_of(request), caller(request)
    await services.authenticator.caught_up()
    keys = keys_of(services.principals, asking)
    return rendering.page(
        request,
        "keys.html",
        code,
        usable=[key for key in keys if key.usable],
        ended=[key for key in keys if not key.usable],
        made=made,
        problem=problem,
        given=given or {},
        roles=list(Role),
        own=asking.own_organisation or "",
        organisations=None if asking.organisations is None else sorted(asking.organisations),
        once=new_key(secrets.token_bytes).id,
        events=[(event, occurred(event)) for event in services.audit.newest(asking, _EVENTS_SHOWN)],
    )


def _wanted(fields: dict[str, str]) -> dict[str, Any]:
    names = fields.get("organisations", "").replace(",", " ").split()
    wanted: dict[str, Any] = {name: fields.get(name, "").strip() for name in ("name", "kind", "role")}
    if "all" in fields:
        wanted["all_organisations"] = True
    if names:
        wanted["organisations"] = names
    days = fields.get("expires", "").strip()
    if days:
        try:
            wanted["expires"] = float(days)
        except ValueError:
            raise invalid(f"expires is a number of days, not {days[:80]!r}; leave it empty for none") from None
    return wanted


def occurred(event: SecurityEvent) -> str:
    """A security event as a sentence."""
    about = f" {event.about}" if event.about else ""
    why = f": {event.why}" if event.why else ""
    more = f"; {event.unlogged:,} more before it" if event.unlogged else ""
    return f"{event.by or 'someone unknown'} {_OCCURRED[event.event]}{about}{why}{more}"
