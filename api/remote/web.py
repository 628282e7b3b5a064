"""Reads a file over https: from hosts that are allowed, at the network address that was checked."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx2

from api.errors import ApiError, invalid, unavailable
from api.outgoing.lookups import HostNotFoundError, Lookups, PrivateAddressError
from api.outgoing.requests import request_to
from api.remote.addresses import allowed_address
from runtime.network.addresses import Address
from runtime.settings import Settings

_REDIRECTS: Final = 5
_QUIET_SECONDS: Final = 30.0


async def read_web(address: Address, settings: Settings, organisation: str, lookups: Lookups) -> AsyncIterator[bytes]:
    """The bytes of the file at an address, as they are sent.

    Raises:
        ApiError: 400, the server has no such file; 403, it leads to an address that is not allowed; 413, it says that
            the file is too large; 503, it can't be reached, or breaks off; and as `Lookups.network_address`.
    """
    context = _context(settings.source_ca_file)
    for _ in range(_REDIRECTS + 1):
        host = await _checked_host(lookups, address, organisation, settings.source_private_addresses)
        client = httpx2.AsyncClient(verify=context, trust_env=False, timeout=httpx2.Timeout(_QUIET_SECONDS, connect=10))
        request = request_to(client, "GET", address, host)
        try:
            async with client:
                answer = await client.send(request, stream=True)
                try:
                    if not answer.is_redirect:
                        _require_file(answer, address, settings.source_bytes)
                        async for chunk in answer.aiter_raw():
                            yield chunk
                        return
                    onward = answer.headers["location"]
                finally:
                    await answer.aclose()
        except httpx2.HTTPError as error:
            raise unavailable(f"{address.shown} can't be read: {error or type(error).__name__}") from error
        address = allowed_address(onward, settings.source_prefixes, organisation, address)
        if address.scheme != "https":
            raise ApiError(403, f"{address.shown} is no https address, and a web server leads to it")
    raise invalid(f"{address.shown} leads on more than {_REDIRECTS} times")


async def _checked_host(lookups: Lookups, address: Address, organisation: str, private: bool) -> str:
    """The network address to connect to."""
    try:
        return await lookups.network_address(address, organisation, allow_private=private)
    except HostNotFoundError as error:
        raise unavailable(str(error)) from error
    except PrivateAddressError as error:
        raise ApiError(403, f"{error} (see SLUICE_SOURCE_PRIVATE_ADDRESSES)") from error


def _require_file(answer: httpx2.Response, address: Address, most_bytes: int) -> None:
    if answer.status_code >= 500:
        raise unavailable(f"{address.shown} can't be read now: its server answers {answer.status_code}")
    if answer.status_code != 200:
        raise invalid(f"{address.shown} can't be read: its server answers {answer.status_code}")
    length = answer.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and len(length) < 19 and int(length) > most_bytes:
        raise too_large(address, most_bytes)


def too_large(address: Address, most_bytes: int) -> ApiError:
    """413: the file has more bytes than one may have."""
    return ApiError(413, f"{address.shown} has more than {most_bytes:,} bytes (SLUICE_SOURCE_BYTES)")


def _context(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
