"""The cookie of the page's session, and the check that a form is our own. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from api.web.auth import origin_is_host

COOKIE: Final = "sluice_session"
SECURE_COOKIE: Final = "__Host-sluice_session"
"""The cookie's name over https: browsers accept it only with Secure, for this host and every path."""
_MOST_COOKIES: Final = 16 * 1024
"""Characters of the header; a browser sends at most 4 KiB a cookie."""
_MOST_TOKENS: Final = 4


def tokens_in(cookies: str) -> list[str]:
    """The values in a Cookie header that could be session tokens: there may be an old one, from https or from http.

    Other cookies are not parsed: to unquote a long one can take the standard library seconds (CVE-2024-7592).
    """
    return values_of(cookies, (SECURE_COOKIE, COOKIE))


def values_of(cookies: str, names: tuple[str, ...]) -> list[str]:
    """The values of the cookies of these names, as they are."""
    pairs = [pair.strip().partition("=") for pair in cookies[:_MOST_COOKIES].split(";")]
    return [value for name, _, value in pairs if name in names][:_MOST_TOKENS]


def from_own_page(headers: Mapping[str, str]) -> bool:
    """Whether the browser's headers (names in lower case) show that a page of this origin sent the form.

    Stricter than REST: a request without these headers is refused, since only browsers send forms.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    # Browsers send Sec-Fetch-Site to https and to localhost only; elsewhere they send Origin.
    return origin_is_host(headers)


def over_https(headers: Mapping[str, str], scheme: str) -> bool:
    """Whether the browser uses https, also where a proxy ends TLS: then the Origin header shows it."""
    return scheme == "https" or headers.get("origin", "").startswith("https://")
