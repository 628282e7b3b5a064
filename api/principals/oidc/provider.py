"""An OpenID provider: its description, tokens that it has signed, and the exchange of a code for a token."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from pathlib import Path
from typing import Any, Final

import httpx2
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError

from api.errors import ApiError, unavailable
from api.principals.caller import Caller
from api.principals.oidc.claims import ClaimsError, caller_in
from api.principals.oidc.provider_keys import ProviderKeys
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event

log = logging.getLogger(__name__)

_SECONDS: Final = 10.0
"""The API waits this long for an answer, to its last byte."""
_MOST_BYTES: Final = 1024 * 1024
_LEEWAY_SECONDS: Final = 30
"""The provider's clock and this one may differ by this much."""


class Provider:
    """The provider that the settings name."""

    def __init__(self, settings: Settings, clock: Clock = SYSTEM_CLOCK) -> None:
        assert settings.oidc_issuer is not None
        self._settings = settings
        self.issuer = settings.oidc_issuer
        self._clock = clock
        self._http = httpx2.AsyncClient(timeout=_SECONDS)
        self._keys = ProviderKeys(self._published_keys, self._trouble, clock)
        self._description: dict[str, Any] | None = None

    async def caller_of(self, token: str) -> Caller:
        """Who sends a bearer token.

        Raises:
            ApiError: 401, it can't be used; 503, the provider's keys can't be had.
        """
        if self._settings.oidc_audience is None:
            raise _refused("this API takes no tokens of an OpenID provider (SLUICE_OIDC_AUDIENCE)")
        claims = await self._claims(token, self._settings.oidc_audience)
        # As long as it would be taken: what one request of it began is not refused in the middle.
        return self._caller(claims, (math.ceil(claims["exp"]) + _LEEWAY_SECONDS) * 1000)

    async def caller_of_code(self, code: str, verifier: str, nonce: str, redirect: str) -> Caller:
        """The person whom the provider signed in and returned with this code.

        Raises:
            ApiError: 401, code or token can't be used; 503, the provider does not answer.
        """
        settings, found = self._settings, await self.description()
        assert settings.oidc_client_id is not None
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": verifier,
            "client_id": settings.oidc_client_id,
        }
        secret = settings.oidc_client_secret
        auth = (settings.oidc_client_id, secret.get_secret_value()) if secret is not None else None
        if auth is not None:
            del form["client_id"]
        answer = await self._json("POST", str(found["token_endpoint"]), data=form, **({"auth": auth} if auth else {}))
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise _refused(f"the OpenID provider gave no token: {str(answer.get('error', 'no reason'))[:100]}")
        claims = await self._claims(token, settings.oidc_client_id)
        if claims.get("nonce") != nonce:
            raise _refused("the OpenID provider's token belongs to another sign-in")
        return self._caller(claims, self._clock.now_ms() + int(settings.oidc_session_seconds * 1000))

    async def description(self) -> dict[str, Any]:
        """The provider's own description of itself. Raises ApiError, 503."""
        if self._description is None:
            path = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = await self._json("GET", path)
            if found.get("issuer") != self.issuer:
                raise unavailable("the OpenID provider calls itself otherwise than SLUICE_OIDC_ISSUER; correct that")
            self._description = found
        return self._description

    def _caller(self, claims: dict[str, Any], ends_at: int) -> Caller:
        try:
            return caller_in(claims, self._settings, ends_at)
        except ClaimsError as error:
            raise _refused(f"this token gives no rights here: {error}") from error

    async def _claims(self, token: str, audience: str) -> dict[str, Any]:
        """The claims of a token that was made by this provider, for this audience, and has not expired."""
        rules = jwt.JWTClaimsRegistry(
            now=lambda: self._clock.now_ms() // 1000,
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
        )
        try:
            try:
                found = jwt.decode(token, await self._keys.get(), [self._settings.oidc_algorithm])
            except InvalidKeyIdError:
                # The provider may have a new key.
                found = jwt.decode(token, await self._keys.get(anew=True), [self._settings.oidc_algorithm])
            rules.validate(found.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            # Of the error only its kind: its text may hold what the token holds.
            raise _refused(f"this token can't be used ({type(error).__name__.removesuffix('Error')})") from error
        return dict(found.claims)

    async def _published_keys(self) -> Any:
        place = self._settings.oidc_jwks
        if place is not None and "://" not in place:
            return json.loads(await asyncio.to_thread(Path(place).read_bytes))
        return await self._json("GET", place or str((await self.description())["jwks_uri"]))

    async def _json(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        """The JSON object of an answer. Raises ApiError, 503."""
        body = bytearray()
        try:
            async with asyncio.timeout(_SECONDS), self._http.stream(method, url, **more) as answer:
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > _MOST_BYTES:
                        raise ValueError
            found = json.loads(body)
            if answer.status_code >= 500 or not isinstance(found, dict):
                raise ValueError
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError, RecursionError) as error:
            self._trouble(f"it does not answer at {url.partition('?')[0]}", error)
            raise unavailable("the OpenID provider gave an answer that can't be read; try again in a moment") from error
        return found

    def _trouble(self, what: str, error: Exception) -> None:
        kind = type(error).__name__  # its text may hold what was sent
        log.warning("the OpenID provider: %s (%s)", what, kind, extra=as_event("openid.trouble"))

    async def close(self) -> None:
        """End what is under way, and close the connections."""
        self._keys.close()
        await self._http.aclose()


def _refused(message: str) -> ApiError:
    return ApiError(401, message, headers={"WWW-Authenticate": 'Bearer realm="sluice", error="invalid_token"'})
