"""Wraps every page's handler: authentication, the check that a form is our own, refusals as HTML, and headers."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.errors import ApiError
from api.pages.access.session import from_own_page, tokens_in
from api.pages.rendering import fragment, page, wants_fragment
from api.principals.sessions import caller_of_session
from api.web.access import require_role, watched
from api.web.auth import ADMIN, Caller
from api.web.responses import http_problem, refusal_response, unexpected
from api.web.routing import Handler
from api.web.services import count_request, services_of, visible_job
from schemas.policies.principals import Role

_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
)
HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def gated(handler: Handler, needed: Role) -> Handler:
    """A page for users who are signed in and have this role; others are redirected to the sign-in page."""

    async def behind(request: Request) -> Response:
        user = await caller_of_page(request)
        if user is None:
            return _to_sign_in(request)
        # `caller` of api/web/services.py finds it there: a browser sends no key.
        request.state.caller = user
        count_request(services_of(request), user)
        if "job_id" in request.path_params:
            await visible_job(request)
        require_role(request, needed)
        return await watched(request, handler)

    return open_page(behind)


def open_page(handler: Handler) -> Handler:
    """A page that needs no key: forms must be our own, refusals become HTML."""

    async def guarded(request: Request) -> Response:
        try:
            if request.method in ("POST", "PATCH") and not from_own_page(request.headers):
                text = "this form was not sent by a page of this API; open the page anew, or use the API with a key"
                raise ApiError(403, text)
            answer = await handler(request)
        except ApiError as error:
            answer = refused(request, error)
        except Exception:
            answer = refused(request, unexpected(request.scope))
        return _with_headers(answer)

    return guarded


async def on_http_error(request: Request, error: Exception) -> Response:
    """The answer to a request that no route takes: a page for a browser, JSON for paths of REST."""
    assert isinstance(error, HTTPException)
    problem = http_problem(request, error)
    if request.scope["path"].startswith("/v1/") or "text/html" not in request.headers.get("accept", ""):
        return refusal_response(problem)
    return _with_headers(refused(request, problem))


def _with_headers(answer: Response) -> Response:
    answer.headers.update(HEADERS)
    answer.headers.setdefault("Cache-Control", "no-store")
    return answer


async def caller_of_page(request: Request) -> Caller | None:
    """The user of the page; None: not signed in. A key in the headers does not count here: it is for REST."""
    user = await session_of_page(request)
    return ADMIN if user is None and not services_of(request).settings.api_require_key else user


async def session_of_page(request: Request) -> Caller | None:
    """The caller whose session the browser has; None: no session that holds."""
    services = services_of(request)
    tokens = tokens_in(request.headers.get("cookie", ""))
    if tokens:
        await services.authenticator.caught_up()
    for token in tokens:
        user = await caller_of_session(services.principals, token, services.authenticator.admin_key)
        if user is not None:
            return user
    return None


def refused(request: Request, error: ApiError) -> Response:
    """A refusal: beside the form that htmx sent, or as a page of its own."""
    other_job = error.details.get("job_id") if error.code in (409, 422, 503) else None
    values: dict[str, Any] = {"error": error, "other_job": other_job}
    if wants_fragment(request):
        return fragment("refusal.html", error.code, error.headers, **values)
    # Only a page that was asked for with GET reloads itself: to reload a form's address would show nothing.
    again = error.code == 503 and request.method != "POST"
    answer = page(request, "refused.html", error.code, again=again, **values)
    answer.headers.update(error.headers)
    return answer


def _to_sign_in(request: Request) -> Response:
    if wants_fragment(request):
        return Response(status_code=401, headers={"HX-Redirect": "/sign-in"})
    path = request.scope["path"] if request.method == "GET" else "/"
    return RedirectResponse(f"/sign-in?next={quote(path)}", 303)
