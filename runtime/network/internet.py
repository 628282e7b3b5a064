"""Which network addresses are those of the internet. Pure, and the same in every version of Python."""

from __future__ import annotations

import ipaddress
from typing import Final

_INTERNET: Final = ipaddress.IPv6Network("2000::/3")
"""IANA gives out the addresses of the internet from here alone; it keeps, or has withdrawn, all others."""
_DOCUMENTATION: Final = ipaddress.IPv6Network("3fff::/20")
_TEREDO: Final = ipaddress.IPv6Network("2001::/32")
_LAST_BITS: Final = tuple(map(ipaddress.IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96")))
"""They stand for the IPv4 address in their last 32 bits: for a socket (RFC 4291), and for a gateway (RFC 6052)."""


def is_public(address: str) -> bool:
    """Whether a network address is one of the internet: not this machine's, a private network's or a link's."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if any(found in network for network in _LAST_BITS):
            return is_public(str(ipaddress.IPv4Address(found.packed[-4:])))
        if found not in _INTERNET or found in _DOCUMENTATION or found in _TEREDO:
            return False
        if found.sixtofour is not None:
            return is_public(str(found.sixtofour))
    return found.is_global and not found.is_multicast
