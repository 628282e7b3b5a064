"""URLs of servers and the keys for them, as settings give them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def server_url(url: str) -> str:
    """The URL of a server, if it can be one.

    Raises:
        ValueError: it can't; the message, which never holds the URL, says why.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("the port or the host of the URL can't be read; write it as http://host:port") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a server's URL begins with http:// or https:// and a host, as in http://host:port")
    if port == 0 or not re.fullmatch(r"[!-~]+", url) or not re.fullmatch(r"[\w.:%-]+", parts.hostname):
        raise ValueError("a URL has no spaces, control characters or letters other than ASCII, and no port 0")
    return url


def is_ipv6(host: str) -> bool:
    """Whether a host is an address of IPv6, which stands in brackets in a URL."""
    return ":" in host


def server_key(key: str) -> str:
    """A key that a request's header can carry.

    Raises:
        ValueError: it can't be one; the message does not show it.
    """
    if not re.fullmatch("[!-~]+", key):
        raise ValueError("it holds a space, a line end or a character that is not ASCII, and no key does")
    return key


def without_password(text: str) -> str:
    """Text with the name and the password taken out of its URLs."""
    return re.sub(r"(?<=://)[^/\s]+@", "***@", text)
