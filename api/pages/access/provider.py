"""Signing in at an OpenID provider: the code flow with PKCE (RFC 7636)."""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Final
from urllib.parse import quote, unquote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.errors import ApiError
from api.pages.access.session import over_https, values_of
from api.pages.access.signing import form, own_path, signed_in
from api.pages.rendering import page
from api.principals.oidc.provider import Provider
from api.web.services import address_of, route_of, services_of

_COOKIE: Final = "sluice_signing_in"
_SECURE_COOKIE: Final = f"__Host-{_COOKIE}"
_SECONDS: Final = 600
CALLBACK: Final = "/sign-in/callback"


async def begin(request: Request) -> Response:
    """Lead to the provider. What the answer has to fit to is in a cookie of this browser."""
    provider = _provider(request)
    state, verifier, nonce = (secrets.token_urlsafe(32) for _ in range(3))
    asked = {
        "response_type": "code",
        "client_id": services_of(request).settings.oidc_client_id or "",
        "redirect_uri": _redirect(request),
        "scope": services_of(request).settings.oidc_scope,
        "state": state,
        "nonce": nonce,
        "code_challenge": urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    address = str((await provider.description())["authorization_endpoint"])
    answer = RedirectResponse(f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", 303)
    following = quote(own_path(request.query_params.get("next")), safe="")
    secure = _redirect(request).startswith("https://")
    answer.set_cookie(
        _SECURE_COOKIE if secure else _COOKIE,
        ".".join((state, verifier, nonce, following)),
        max_age=_SECONDS,
        path="/",
        secure=secure,
        httponly=True,
        # The provider's page sends the browser back, with a cookie that is Lax but not with one that is Strict.
        samesite="lax",
    )
    return answer


async def come_back(request: Request) -> Response:
    """Take the provider's code, and begin a session."""
    provider, given = _provider(request), request.query_params
    cookies = values_of(request.headers.get("cookie", ""), _COOKIE)
    begun = next((parts for parts in (value.split(".", 3) for value in cookies) if len(parts) == 4), None)
    if begun is None or not hmac.compare_digest(begun[0].encode(), given.get("state", "").encode()):
        text = "this browser has not begun to sign in, or did so too long ago; begin again"
        return form(request, "/", text, 400)
    _, verifier, nonce, following = begun
    code = given.get("code")
    try:
        if not code:
            raise ApiError(401, f"the OpenID provider refuses: {given.get('error', 'no reason')[:100]}")
        if given.get("iss", provider.issuer) != provider.issuer:
            raise ApiError(401, "the answer comes from another OpenID provider; begin again")
        user = await provider.caller_of_code(code, verifier, nonce, _redirect(request))
    except ApiError as error:
        if error.code != 401:
            raise
        authenticator = services_of(request).authenticator
        refused = authenticator.refused(None, address_of(request), route_of(request), error.message)
        answer = form(request, own_path(unquote(following)), refused.message, refused.code)
        answer.headers.update(refused.headers)
        return answer
    # A redirect would count as part of the provider's navigation, and the browser would not send the new cookie.
    answer = page(request, "signed_in.html", following=own_path(unquote(following)), name=user.name)
    await signed_in(request, user, answer)
    for name, secure in ((_SECURE_COOKIE, True), (_COOKIE, False)):
        answer.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
    return answer


def _provider(request: Request) -> Provider:
    found = services_of(request).authenticator.provider
    if found is None or services_of(request).settings.oidc_client_id is None:
        raise ApiError(404, "no OpenID provider is configured here; sign in with an API key")
    return found


def _redirect(request: Request) -> str:
    """Where the provider is to send the browser."""
    given = services_of(request).settings.api_url
    if given is not None:
        return f"{given.rstrip('/')}{CALLBACK}"
    scheme = "https" if over_https(request.headers, request.scope["scheme"]) else "http"
    return f"{scheme}://{request.headers.get('host', '')}{CALLBACK}"
