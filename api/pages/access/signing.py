"""Signing in with the API key, and out again."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.errors import ApiError
from api.pages.access.gate import session_of_page
from api.pages.access.session import COOKIE, SECURE_COOKIE, over_https
from api.pages.fields import fields_of
from api.pages.rendering import page
from api.principals.sessions import begin_session, end_session
from api.web.auth import Caller
from api.web.services import address_of, caller, route_of, services_of
from runtime.text.formatting import iso_time


async def show_sign_in(request: Request) -> Response:
    """The form that asks for the key; a user who is signed in already is redirected to `next`."""
    following = own_path(request.query_params.get("next"))
    if await session_of_page(request) is not None:
        return RedirectResponse(following, 303)
    return form(request, following)


async def sign_in(request: Request) -> Response:
    """Check the key, and set a session cookie that scripts can't read and other sites can't send."""
    fields, services = await fields_of(request), services_of(request)
    following, address = own_path(fields.get("next")), address_of(request)
    try:
        user = await services.authenticator.caller_with(fields.get("key", "").strip(), address, route_of(request))
        return await signed_in(request, user, RedirectResponse(following, 303))
    except ApiError as error:
        if error.code not in (401, 429):
            raise
        # The advice behind the semicolon is for callers of REST; a page shows it only if a limit is exceeded.
        problem = error.message if "limit" in (error.details or {}) else error.message.partition(";")[0]
        answer = form(request, following, f"{problem[:1].upper()}{problem[1:]}.", error.code)
        answer.headers.update(error.headers)
        return answer


async def signed_in(request: Request, user: Caller, answer: Response) -> Response:
    """Begin a session of this user, whose cookie comes with the answer. Raises as `begin_session`."""
    services = services_of(request)
    cookie, session = await begin_session(
        services.principals,
        services.catalog.quotas,
        user,
        services.authenticator.admin_key,
        services.settings.oidc_issuer,
    )
    services.audit.note("signed-in", user, address_of(request), why=f"until {iso_time(session.ends_at)}")
    secure = over_https(request.headers, request.scope["scheme"])
    answer.set_cookie(
        SECURE_COOKIE if secure else COOKIE,
        cookie,
        max_age=(session.ends_at - session.began_at) // 1000,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    if not secure and SECURE_COOKIE in request.headers.get("cookie", ""):
        _forget(answer, SECURE_COOKIE)  # it counts before the new one; browsers send it to http://localhost as well
    return answer


def _forget(answer: Response, cookie: str) -> None:
    answer.delete_cookie(cookie, path="/", secure=cookie == SECURE_COOKIE, httponly=True, samesite="strict")


async def sign_out(request: Request) -> Response:
    """End the session everywhere, and delete its cookie."""
    services, user = services_of(request), caller(request)
    if user.session is not None:
        await end_session(services.principals, user)
        services.audit.note("signed-out", user, address_of(request))
    answer = RedirectResponse("/sign-in", 303)
    for cookie in (SECURE_COOKIE, COOKIE):
        _forget(answer, cookie)
    return answer


def form(request: Request, following: str, problem: str | None = None, code: int = 200) -> Response:
    """The page that asks for a key, or leads to the OpenID provider."""
    settings = services_of(request).settings
    provider = urlsplit(settings.oidc_issuer or "").hostname if settings.oidc_client_id else None
    values = {"following": following, "problem": problem, "provider": provider}
    return page(request, "sign_in.html", code, **values)


def own_path(path: str | None) -> str:
    """The page to open after signing in: a path of this API; the start page for a path that could lead elsewhere."""
    if path is None or not path.startswith("/") or path.startswith(("//", "/\\")):
        return "/"
    parts = urlsplit(path)
    return path if not parts.netloc and (path in ("/", "/keys") or parts.path.startswith("/jobs/")) else "/"
