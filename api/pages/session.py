"""Who uses the page: a signed cookie instead of the key, and whether a form is our own. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from api.web.auth import origin_is_host

SESSION_SECONDS: Final = 12 * 3600
COOKIE: Final = "sluice_session"
SECURE_COOKIE: Final = "__Host-sluice_session"
"""The name over https: browsers take it only with Secure, for this host and every path."""
_MOST_COOKIES: Final = 16 * 1024
"""Characters of the header; a browser sends at most 4 KiB a cookie."""
_MOST_TOKENS: Final = 4


def session_token(key: str, now_ms: int) -> str:
    """What the cookie holds: the second it ends, and a proof made with the key. It does not give the key away."""
    ends = str(now_ms // 1000 + SESSION_SECONDS)
    return f"{ends}.{_proof(key, ends)}"


def session_holds(token: str, key: str, now_ms: int) -> bool:
    """Whether this is a token of ours, of the key that is valid now, that has not ended."""
    ends, _, proof = token.partition(".")
    if not hmac.compare_digest(proof.encode(), _proof(key, ends).encode()):
        return False
    return now_ms // 1000 < int(ends)


def tokens_in(cookies: str) -> list[str]:
    """What a Cookie header holds that could be a session's token: there may be an old one, of https or without.

    Others are not looked at: to take the quotes off a long one can take the standard library seconds (CVE-2024-7592).
    """
    pairs = [pair.strip().partition("=") for pair in cookies[:_MOST_COOKIES].split(";")]
    return [value for name, _, value in pairs if name in (SECURE_COOKIE, COOKIE)][:_MOST_TOKENS]


def from_own_page(headers: Mapping[str, str]) -> bool:
    """Whether a form was sent by a page of this very origin, as the browser says (names in lower case).

    Stricter than what REST asks for: one that says nothing is refused, since only browsers have business here.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    # Browsers say it to https and to localhost alone; elsewhere they name the page's origin.
    return origin_is_host(headers)


def over_https(headers: Mapping[str, str], scheme: str) -> bool:
    """Whether the browser uses https, also where a proxy in between takes it off: the page's origin tells."""
    return scheme == "https" or headers.get("origin", "").startswith("https://")


def _proof(key: str, ends: str) -> str:
    return hmac.new(key.encode(), f"sluice page until {ends}".encode(), hashlib.sha256).hexdigest()
