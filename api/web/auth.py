"""Authentication: which caller sends a request. Pure, but for reading the admin's key from its file once."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from api.errors import ApiError
from runtime.settings import Settings

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller, and the organisations it may act for."""

    name: str
    organisations: frozenset[str] | None = None
    """None: every one."""

    def may_see(self, organisation: str) -> bool:
        """Whether the caller may see this organisation's jobs."""
        return self.organisations is None or organisation in self.organisations


ADMIN = Caller("admin")


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


def caller_of(headers: Mapping[str, str], method: str, key: str | None, *, require_key: bool) -> Caller:
    """Who sends a request with these headers (names in lower case), where `key` is the admin's.

    Raises:
        ApiError: 401, the key is wrong or missing; 403, a web page of another site sends it.
    """
    given = key_in(headers)
    if given is not None:
        if key is None or not hmac.compare_digest(given.encode(), key.encode()):
            raise _unauthenticated("this API key is not known")
        return ADMIN
    if require_key:
        raise _unauthenticated("an API key is needed: send it as 'Authorization: Bearer KEY'")
    # CSRF: without a key any web page could send requests through the browser of the local stack's user.
    if method not in _SAFE_METHODS and _is_foreign(headers):
        raise ApiError(403, "this request comes from a web page of another site; send an API key with it")
    return ADMIN


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
    return ApiError(
        401,
        f"{message}; a local stack's key is in the file admin.key of its home folder, or set SLUICE_API_KEY",
        headers={"WWW-Authenticate": 'Bearer realm="sluice"'},
    )
