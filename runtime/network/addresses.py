"""Addresses that callers and operators give, taken apart in one way: what is checked here is what is sent. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

SOURCE_SCHEMES: Final = ("https", "s3")
"""Of the files that jobs may read."""
_PORTS: Final = {"https": 443, "http": 80}
"""Schemes of the web, with their ports."""
_PRINTED: Final = re.compile(r"[!-~]+")
_AUTHORITY: Final = re.compile(r"(\[[\w:.%-]+\]|[\w.-]+)(:\d*)?", re.ASCII)


class AddressError(ValueError):
    """An address can't be used; the message says why, and never holds the address: it may hold a secret."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address that `read_address` has found fit."""

    scheme: str
    host: str
    """In lower case, and without brackets; of s3 the bucket."""
    port: int
    """0: the scheme has none."""
    path: str
    """As it is written, and at least a slash."""
    query: str

    @property
    def authority(self) -> str:
        """The host and the port as a header says them, the port only if it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS.get(self.scheme, 0) else f"{host}:{self.port}"

    @property
    def target(self) -> bytes:
        """What a request asks the host for. Raises UnicodeEncodeError for s3, which has none."""
        return (f"{self.path}?{self.query}" if self.query else self.path).encode("ascii")

    @property
    def key(self) -> str:
        """The object's key in its bucket."""
        return self.path.removeprefix("/")

    @property
    def shown(self) -> str:
        """The address without its query, which may be a signature."""
        return f"{self.scheme}://{self.authority}{self.path}"


def read_address(text: str, schemes: Collection[str], *, login: bool = False) -> Address:
    """The parts of an address with one of these schemes. `login`: whether it may have a user and a password.

    Raises:
        AddressError: it can't be used.
    """
    _require_signs(text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        problem = "the address has a host or a port that can't be read; write it as https://host:port/path"
        raise AddressError(problem) from None
    if parts.scheme not in schemes or not parts.hostname:
        allowed = " or ".join(f"{scheme}://" for scheme in schemes)
        raise AddressError(f"the address begins with {allowed} and a host, as in {next(iter(schemes))}://example.org/x")
    if "#" in text or (not login and "@" in parts.netloc):
        raise AddressError("the address has no user, password or fragment")
    authority = parts.netloc.rpartition("@")[2]
    if port == 0 or not _AUTHORITY.fullmatch(authority):
        raise AddressError("the address has a host that is no name and no network address, or port 0")
    if authority.startswith("[") and not _is_ipv6(parts.hostname):
        raise AddressError("the address has brackets around what is no IPv6 address")
    if _has_dots(parts.path):
        raise AddressError("the address has segments of dots, which lead elsewhere")
    usual = _PORTS.get(parts.scheme, 0)
    if not usual:
        if "?" in text or port is not None:
            raise AddressError("an s3:// address is s3://bucket/key, without a port or a query")
        if "" in parts.path.split("/")[1:-1]:
            raise AddressError("the address has a key with a segment without a name")
    return Address(parts.scheme, parts.hostname, port or usual, parts.path or "/", parts.query)


def joined(base: Address, reference: str) -> str:
    """The text of the address that `reference` names at `base`, as a redirect does.

    Raises:
        AddressError: the reference can't be used.
    """
    _require_signs(reference)  # before it is joined, which drops tabs and line ends
    return urljoin(base.shown, reference)


def _require_signs(text: str) -> None:
    # A key of s3 is sent as it is written, and percent signs are a part of it, so that it has letters of any kind.
    printed = text.isprintable() and " " not in text if text[:5].lower() == "s3://" else _PRINTED.fullmatch(text)
    if not printed:
        raise AddressError(
            "the address has a space, a control character or a letter that is not ASCII; percent-encode what is in "
            "its path and query (%20 for a space), and write a host's name as xn--..."
        )
    if "\\" in text:
        raise AddressError("the address has a backslash; write / between the parts of a path, or %5C")


def _has_dots(path: str) -> bool:
    """Whether a segment is one or two dots to any server: decoded, with either slash, and before its parameters."""
    segments = re.split(r"[/\\]", unquote(path))
    return any(segment.partition(";")[0] in (".", "..") for segment in segments)


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
