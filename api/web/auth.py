"""Authentication: which caller sends a request."""

from __future__ import annotations

import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from api.errors import ApiError, unavailable
from api.principals.attempts import Attempts
from api.principals.audit import Audit
from api.principals.caller import ADMIN, Caller, caller_by_key
from api.principals.oidc.provider import Provider
from api.principals.store import PrincipalStore
from control.principals.keys import PREFIX, digest, key_id_in, looks_like_token
from control.principals.registry import end_of
from runtime.clock import now_ms
from runtime.settings import Settings

__all__ = ["ADMIN", "Authenticator", "Caller", "admin_key", "origin_is_host"]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HINT: Final = "a local stack's key is in the file admin.key of its home folder, or set SLUICE_API_KEY"
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="sluice"'}


def admin_key(settings: Settings) -> str | None:
    """The admin's API key: from the settings, or from its file; None: there is none."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    try:
        return settings.admin_key_file.read_text().strip() or None
    except OSError:
        return None


def key_in(headers: Mapping[str, str]) -> str | None:
    """The API key that a request carries: ``Authorization: Bearer`` or ``ApiKey``, or ``X-API-Key``; None: none."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "apikey"):
        return value.strip()
    return headers.get("x-api-key")


@dataclass(slots=True)
class Authenticator:
    """Tells callers by their keys."""

    settings: Settings
    principals: PrincipalStore
    audit: Audit
    admin_key: str | None
    attempts: Attempts = field(default_factory=Attempts)
    catch_up_seconds: float = 5.0
    provider: Provider | None = field(init=False)

    def __post_init__(self) -> None:
        self.provider = Provider(self.settings) if self.settings.oidc_issuer is not None else None

    async def caller_of(self, headers: Mapping[str, str], method: str, address: str, about: str) -> Caller:
        """Who sends a request with these headers (names in lower case), from this address, to the route `about`.

        Raises:
            ApiError: 401, the key is wrong or missing; 403, a web page of another site sends it; 429, there were too
                many wrong keys.
        """
        given = key_in(headers)
        if given is not None:
            return await self.caller_with(given, address, about)
        if self.settings.api_require_key:
            raise _unauthenticated(f"an API key is needed: send it as 'Authorization: Bearer KEY'; {_HINT}")
        # CSRF: without a key any web page could send requests through the browser of the local stack's user.
        if method not in _SAFE_METHODS and _is_foreign(headers):
            raise ApiError(403, "this request comes from a web page of another site; send an API key with it")
        return ADMIN

    async def caller_with(self, given: str, address: str, about: str) -> Caller:
        """Who has this key. Raises ApiError, 401 or 429."""
        if given.startswith(PREFIX):
            await self.caught_up()
        key = self.principals.feed.registry.key_of(given)
        if key is not None:
            ended = end_of(key, now_ms())
            if ended is not None:
                raise self.refused(given, address, about, f"this API key {ended}; ask an admin for another one")
            self.principals.used(key.id, now_ms())
            return caller_by_key(key)
        if self.provider is not None and looks_like_token(given):
            return await self._by_token(given, address, about)
        wait = 0.0 if self.attempts.proved(digest(given)) else self.attempts.wait(address, given, monotonic())
        if wait > 0:
            self.attempts.unlogged += 1
            raise _slowed(wait)
        if self.admin_key is not None and hmac.compare_digest(given.encode(), self.admin_key.encode()):
            self.attempts.prove(digest(given))
            return ADMIN
        raise self.refused(given, address, about, f"this API key is not known; {_HINT}")

    async def caught_up(self) -> None:
        """Wait until every key and every revocation is known, which is so soon after the start of the process.

        Raises:
            ApiError: 503, it is not so yet.
        """
        feed = self.principals.feed
        if not await feed.until(lambda: feed.caught_up, self.catch_up_seconds):
            raise unavailable("the API is still reading its keys from Kafka; try again in a moment")

    async def _by_token(self, given: str, address: str, about: str) -> Caller:
        assert self.provider is not None
        try:
            return await self.provider.caller_of(given)
        except ApiError as error:
            if error.code != 401:
                raise
            raise self.refused(given, address, about, error.message) from error

    def refused(self, given: str | None, address: str, about: str, why: str) -> ApiError:
        """The refusal of a caller whom nothing vouches for, 401 or 429, which is noted within the budget. `given`: its
        wrong key; None: it sent something else that is wrong."""
        now, attempts = monotonic(), self.attempts
        wait = attempts.wait(address, given, now)
        if wait > 0:
            attempts.unlogged += 1
            return _slowed(wait)
        attempts.wrong(address, given, now)
        unlogged, attempts.unlogged = attempts.unlogged, 0
        slowed = attempts.wait(address, given, now) > 0
        self.audit.note(
            "slowed" if slowed else "refused",
            None,
            address,
            about,
            why.partition(";")[0],
            key_id=key_id_in(given or ""),
            unlogged=unlogged,
        )
        return _unauthenticated(why)


def _is_foreign(headers: Mapping[str, str]) -> bool:
    if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return True
    return "origin" in headers and not origin_is_host(headers)


def origin_is_host(headers: Mapping[str, str]) -> bool:
    """Whether the Origin header is our own host, as the Host header names it (names in lower case)."""
    origin = headers.get("origin")
    try:
        return origin is not None and urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False  # no browser sends an origin like this


def _unauthenticated(message: str) -> ApiError:
    return ApiError(401, message, headers=_CHALLENGE)


def _slowed(seconds: float) -> ApiError:
    whole = math.ceil(seconds)
    text = f"too many wrong API keys; try again in {whole} s, with the right one"
    return ApiError(429, text, {"retry_after_seconds": whole}, {"Retry-After": str(whole)})
