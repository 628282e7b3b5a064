"""Which network addresses are those of the internet. Pure."""

from __future__ import annotations

import ipaddress

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""A gateway leads to the IPv4 address in the last 32 bits (RFC 6052)."""


def is_public(address: str) -> bool:
    """Whether a network address is one of the internet: not this machine's, a private network's or a link's."""
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    if found in _NAT64:
        mapped = ipaddress.IPv4Address(found.packed[-4:])
    return found.is_global and not found.is_multicast and (mapped is None or is_public(str(mapped)))
