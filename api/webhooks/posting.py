"""One request to a receiver: signed, within bounds of time, and to the network address that was checked."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Final

import httpx2

from api.errors import ApiError
from api.outgoing.lookups import HostNotFoundError, Lookups, PrivateAddressError
from api.outgoing.requests import request_to
from control.webhooks.events import CONTENT_TYPE
from control.webhooks.rules import SETTING, receiver_address
from control.webhooks.schedule import Outcome
from control.webhooks.signing import signed_headers
from runtime.network.addresses import AddressError
from runtime.settings import Settings

_MOST_ANSWER: Final = 16 * 1024
"""Bytes of an answer's body that are read, so that its connection can serve again; nothing is made of them."""
_MOST_RETRY_AFTER: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class Message:
    """What a receiver is sent."""

    organisation: str
    url: str
    event_id: str
    body: bytes
    secrets: tuple[str, ...]


class Connections:
    """The connections to one receiver. They are not shared: each was made to the host of its own address."""

    def __init__(self, settings: Settings, context: ssl.SSLContext, lookups: Lookups) -> None:
        self._settings = settings
        self._lookups = lookups
        self._client = httpx2.AsyncClient(
            verify=context,
            trust_env=False,
            follow_redirects=False,
            timeout=settings.webhook_seconds,
            limits=httpx2.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=5.0),
        )

    async def post(self, message: Message, at_ms: int) -> Outcome:
        """Send a message; `at_ms`: now, milliseconds since 1970. It raises nothing that the receiver can cause."""
        seconds = self._settings.webhook_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._post(message, at_ms)
        except TimeoutError:
            return Outcome(None, f"the receiver has not answered within {seconds:g} s")
        except (HostNotFoundError, ApiError) as error:
            return Outcome(None, str(error))
        except PrivateAddressError as error:
            return Outcome(None, f"{error} (see {SETTING})")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            return Outcome(None, f"the receiver can't be reached: {_reason(error)}")

    async def _post(self, message: Message, at_ms: int) -> Outcome:
        allowed = self._settings.webhook_allow_private
        try:
            address = receiver_address(message.url, allowed)
        except AddressError as error:
            return Outcome(None, str(error))
        # The name is resolved here, and the connection is made to the address that was looked at.
        network = await self._lookups.network_address(
            address, message.organisation, allow_private=allowed, patient=True
        )
        signed = signed_headers(message.secrets, message.event_id, at_ms // 1000, message.body)
        headers = {"Content-Type": CONTENT_TYPE, **signed}
        request = request_to(self._client, "POST", address, network, headers, message.body)
        answer = await self._client.send(request, stream=True)
        try:
            await _read_away(answer)
        finally:
            await answer.aclose()
        return _outcome(answer)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def tls_context(settings: Settings) -> ssl.SSLContext:
    """What receivers' certificates are checked with."""
    file = settings.webhook_ca_file
    return ssl.create_default_context(cafile=None if file is None else str(file))


async def _read_away(answer: httpx2.Response) -> None:
    """Read the body to its end, if it is short: what the receiver answers there does not count."""
    size = 0
    try:
        async for chunk in answer.aiter_raw():
            size += len(chunk)
            if size > _MOST_ANSWER:
                return
    except httpx2.HTTPError:
        return


def _outcome(answer: httpx2.Response) -> Outcome:
    code = answer.status_code
    if 200 <= code < 300:
        return Outcome(code, None)
    if 300 <= code < 400:
        return Outcome(code, f"the receiver answered {code}, and leads elsewhere: give the address that it leads to")
    if code == 410:
        return Outcome(code, "the receiver answered 410: it wants no more events")
    return Outcome(code, f"the receiver answered {code}", _retry_after_ms(answer.headers.get("retry-after", "")))


def _retry_after_ms(text: str) -> int:
    fits = text.isascii() and text.isdigit() and len(text) < 9
    return min(int(text), _MOST_RETRY_AFTER) * 1000 if fits else 0


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
