"""Which addresses jobs may read: those that begin as the operator has allowed. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

from api.errors import ApiError, invalid

_ODD: Final = re.compile(r"[\x00-\x20\x7f\\]")
_PORTS: Final = {"https": 443, "s3": 0}


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a file."""

    scheme: str
    """``https`` or ``s3``."""
    host: str
    """The host, or the bucket."""
    port: int
    path: str
    """From the first slash on, as it is written; of s3 the key, without a slash in front."""
    query: str

    @property
    def shown(self) -> str:
        """The address without its query, which may be a signature."""
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}/{self.path.removeprefix('/')}"

    @property
    def name(self) -> str:
        """The file's name."""
        return unquote(self.path.rsplit("/", 1)[-1]) or "upload.csv"


def allowed_address(text: str, prefixes: tuple[str, ...], organisation: str, base: Address | None = None) -> Address:
    """The address that a job of `organisation` names, or that `base` leads to.

    Raises:
        ApiError: 403, no prefix allows it; 400, it is no address.
    """
    if not prefixes:
        raise ApiError(
            403,
            "jobs can't name addresses here: this server has none that they may read (SLUICE_SOURCE_URLS); "
            "send the file along as multipart/form-data",
        )
    found = parsed(urljoin(f"{base.shown}", text) if base is not None else text)
    for prefix in prefixes:
        allowed = parsed(prefix.replace("{organisation}", organisation))
        if (found.scheme, found.host, found.port) == (allowed.scheme, allowed.host, allowed.port) and _below(
            found.path, allowed.path
        ):
            return found
    where = f"{base.shown} leads to {found.shown}, which" if base is not None else f"the address {found.shown}"
    raise ApiError(403, f"{where} is none that jobs of organisation {organisation} may read (SLUICE_SOURCE_URLS)")


def parsed(text: str) -> Address:
    """The parts of an address.

    Raises:
        ApiError: 400, it is none that can be read.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise invalid(f"the address {text[:200]!r} can't be read: {error}") from error
    if url.scheme not in _PORTS or not url.hostname:
        raise invalid(f"the address {text[:200]!r} can't be used; give one that begins with s3:// or https://")
    if url.username is not None or url.password is not None or url.fragment:
        raise invalid("an address has no user, password or fragment; the server has its own credentials")
    segments = unquote(url.path).split("/")
    if _ODD.search(text) or "." in segments or ".." in segments:
        raise invalid(f"the address {text[:200]!r} can't be used: it has spaces, backslashes, or segments of dots")
    if url.scheme == "s3" and (url.query or port is not None):
        raise invalid("an s3:// address is s3://bucket/key, without a port or a query")
    if url.scheme == "s3" and "" in segments[1:-1]:
        raise invalid(f"the address {text[:200]!r} can't be used: its key has a segment without a name")
    host = url.hostname if url.scheme == "s3" else url.hostname.lower()
    path = url.path.removeprefix("/") if url.scheme == "s3" else url.path or "/"
    return Address(url.scheme, host, port or _PORTS[url.scheme], path, url.query)


def _below(path: str, allowed: str) -> bool:
    """Whether a path is the allowed one, or lies below it as in a folder."""
    folder = allowed if not allowed or allowed.endswith("/") else f"{allowed}/"
    return path == allowed or path.startswith(folder)
