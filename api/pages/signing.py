"""Signing in with the API key, and out again."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.errors import ApiError
from api.pages.fields import fields_of
from api.pages.gate import caller_of_page
from api.pages.rendering import page
from api.pages.session import COOKIE, SECURE_COOKIE, SESSION_SECONDS, over_https, session_token
from api.web.services import services
from runtime.clock import now_ms


async def show_sign_in(request: Request) -> Response:
    """The form that asks for the key; a user who is signed in already is redirected to `next`."""
    following = own_path(request.query_params.get("next"))
    if caller_of_page(request) is not None:
        return RedirectResponse(following, 303)
    return page(request, "sign_in.html", following=following, problem=None)


async def sign_in(request: Request) -> Response:
    """Check the key, and set a session cookie that scripts can't read and other sites can't send."""
    fields, key = await fields_of(request), services(request).key
    following = own_path(fields.get("next"))
    if key is None:
        raise ApiError(503, "this API has no key yet, so signing in is not possible; set SLUICE_API_KEY")
    if not hmac.compare_digest(fields.get("key", "").strip().encode(), key.encode()):
        return page(request, "sign_in.html", 401, following=following, problem="This API key is not known.")
    answer = RedirectResponse(following, 303)
    secure = over_https(request.headers, request.scope["scheme"])
    answer.set_cookie(
        SECURE_COOKIE if secure else COOKIE,
        session_token(key, now_ms()),
        max_age=SESSION_SECONDS,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    return answer


async def sign_out(request: Request) -> Response:
    """Delete the session cookie."""
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(SECURE_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def own_path(path: str | None) -> str:
    """The page to open after signing in: a path of this API; the start page for a path that could lead elsewhere."""
    if path is None or not path.startswith("/") or path.startswith(("//", "/\\")):
        return "/"
    parts = urlsplit(path)
    return path if not parts.netloc and (path == "/" or parts.path.startswith("/jobs/")) else "/"
