"""URLs of servers and the keys for them, as settings give them."""

from __future__ import annotations

import re

from runtime.network.addresses import read_address


def server_url(url: str) -> str:
    """The URL of a server, if it can be one.

    Raises:
        ValueError: it can't; the message, which never holds the URL, says why.
    """
    read_address(url, ("http", "https"), login=True)
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
