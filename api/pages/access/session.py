"""The cookie of the page's session, and the check that a form is our own. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from api.web.auth import origin_is_host

COOKIE: Final = "sluice_session"
SECURE_COOKIE: Final = f"__Host-{COOKIE}"
"""The cookie's name over https: browsers accept it only with Secure, for this host and every path."""
_MOST_VALUES: Final = 4


def tokens_in(cookies: str) -> list[str]:
    """The values in a Cookie header that could be session tokens."""
    return values_of(cookies, COOKIE)


def values_of(cookies: str, name: str) -> list[str]:
    """The values of the cookies of this name, as they are; of the one of this host alone (``__Host-``), if it is there:
    under the plain name a page of any host of the same domain may have set another one, which may come first.

    All of the header is looked at, whose length the server bounds: what is cut off could be that one. Other cookies are
    not parsed: to unquote a long one can take the standard library seconds (CVE-2024-7592).
    """
    pairs = [pair.strip().partition("=") for pair in cookies.split(";")]
    own, plain = ([value for found, _, value in pairs if found == wanted] for wanted in (f"__Host-{name}", name))
    return (own or plain)[:_MOST_VALUES]


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
