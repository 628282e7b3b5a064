"""The route of limits: what an organisation may use, and what it uses."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError, invalid
from api.jobs.limits import limits_of
from api.models.installation import LimitList
from api.web.responses import json_answer
from api.web.routing import Answer, Endpoint, Parameter, refusal, unavailable
from api.web.services import caller, caught_up, services_of
from control.creation.admission import is_organisation
from schemas.policies.principals import Role

_ORGANISATION: Final = Parameter("organisation", "Whose; left out: the caller's own, or `default`", str)


async def get_limits(request: Request) -> Response:
    """The limits of an organisation."""
    services, asking = services_of(request), caller(request)
    strange = next((name for name in request.query_params if name != _ORGANISATION.name), None)
    if strange is not None:
        raise invalid(f"the parameter {strange[:80]!r} is not known; use {_ORGANISATION.name}")
    named = request.query_params.get(_ORGANISATION.name)
    own = sorted(asking.organisations or ())
    organisation = named if named is not None else own[0] if own else "default"
    if not is_organisation(organisation):
        raise invalid(f"organisation {organisation[:80]!r} is not a name that can be used")
    if not asking.may_see(organisation):
        raise ApiError(404, f"there is no organisation {organisation[:80]!r} that you may see")
    await caught_up(services)
    return json_answer(await limits_of(services, organisation))


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/v1/limits",
        get_limits,
        "getLimits",
        "What an organisation may use, what it uses, and how each limit is refused",
        (
            Answer(200, "The limits", LimitList),
            refusal(404, "The organisation is not one of the caller's"),
            unavailable("The API has just started, and does not know every job yet"),
        ),
        (_ORGANISATION,),
        role=Role.VIEWER,
    ),
)
