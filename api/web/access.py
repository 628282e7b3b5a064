"""Lets a request through to its route if its caller may: authentication, the job that the path names, the role."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError
from api.web.ending import ended_with
from api.web.routing import Endpoint, Handler
from api.web.services import address_of, caller, count_request, route_of, services_of, visible_job
from schemas.policies.principals import Role


def guarded(endpoint: Endpoint) -> Handler:
    """The handler of a route, for callers who may use it.

    It answers 401, 403 or 429 as `Authenticator.caller_of` refuses; 404 for a job that the caller may not see, whatever
    its role; and 403 for a role that is not enough.
    """
    if endpoint.role is None:
        return endpoint.handler
    needed = endpoint.role

    async def behind(request: Request) -> Response:
        authenticator = services_of(request).authenticator
        headers, method = request.headers, request.method
        request.state.caller = await authenticator.caller_of(headers, method, address_of(request), route_of(request))
        count_request(services_of(request), request.state.caller)
        if endpoint.of_a_job:
            await visible_job(request)
        require_role(request, needed)
        return await watched(request, endpoint.handler)

    return behind


async def watched(request: Request, handler: Handler) -> Response:
    """The handler's answer, which breaks off once the caller's key or session ends.

    A refusal that is about an organisation is noted as a security event.
    """
    try:
        return ended_with(services_of(request), caller(request), await handler(request))
    except ApiError as error:
        if error.code == 403 and "organisation" in error.details:
            where = address_of(request), route_of(request)
            services_of(request).audit.note_refusal("organisation-refused", caller(request), *where)
        raise


def require_role(request: Request, needed: Role) -> None:
    """Require that the caller has this role, or one that may do more.

    Raises:
        ApiError: 403.
    """
    asking = caller(request)
    if asking.role.covers(needed):
        return
    services_of(request).audit.note_refusal("role-refused", asking, address_of(request), route_of(request))
    raise ApiError(
        403,
        f"{asking.name} is a {asking.role}, and this needs the role {needed}; ask an admin for a key with that role",
        {"role": asking.role, "needed": needed},
    )
