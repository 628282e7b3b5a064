"""The network address behind a host's name, found once and checked: a second answer can't lead elsewhere."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

_NAME_SECONDS = 10
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""A gateway leads to the IPv4 address in the last 32 bits (RFC 6052)."""


class HostNotFoundError(Exception):
    """A host's name can't be resolved now; trying again may help."""


class PrivateAddressError(Exception):
    """A host has an address of a private network, or of this machine."""


def is_public(address: str) -> bool:
    """Whether a network address is one of the internet: not this machine's, a private network's or a link's."""
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    if found in _NAT64:
        mapped = ipaddress.IPv4Address(found.packed[-4:])
    return found.is_global and not found.is_multicast and (mapped is None or is_public(str(mapped)))


async def network_address(host: str, port: int, *, allow_private: bool) -> str:
    """The network address to connect to.

    Raises:
        HostNotFoundError, PrivateAddressError: the message names the host.
    """
    try:
        async with asyncio.timeout(_NAME_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise HostNotFoundError(f"the host {host} can't be found: {error or 'its name server is silent'}") from error
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if not allow_private and not all(map(is_public, addresses)):
        raise PrivateAddressError(f"the host {host} has a private network address")
    return addresses[0]
