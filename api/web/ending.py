"""Ends what a caller has begun once its key is revoked, its session is over, or their time is up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.errors import ApiError
from api.web.auth import Caller
from api.web.services import Services
from runtime.clock import now_ms
from runtime.telemetry.log_events import as_event

log = logging.getLogger(__name__)

BREAK_OFF: Final = "sluice.break_off"
"""The extension of ASGI, by `api/web/connections.py`, that closes the connection of an answer which is not complete."""


class NoLongerAllowedError(Exception):
    """The caller's key or session has ended while an answer was sent by a server that has no `BREAK_OFF`."""


def require_holding(services: Services, asking: Caller) -> None:
    """Require, right before a request with a long body takes effect, that its caller's key holds still.

    Raises:
        ApiError: 401.
    """
    if not asking.holds(services.principals.feed.registry, now_ms()):
        text = "the API key was revoked, or the session ended, while the request was sent; no more of it is taken"
        raise ApiError(401, text, headers={"WWW-Authenticate": 'Bearer realm="sluice"'})


async def while_holding(services: Services, asking: Caller, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A request's body, as long as its caller's key holds. Raises as `require_holding`."""
    async for chunk in stream:
        require_holding(services, asking)
        yield chunk


def ended_with(services: Services, asking: Caller, answer: Response) -> Response:
    """The answer; a long one breaks off as soon as the caller's key or session has ended."""
    if asking.key_id is None and asking.session is None and asking.ends_at is None:
        return answer
    return answer if hasattr(answer, "body") else _Ending(services, asking, answer)


class _Ending(Response):
    """An answer that breaks off. Its headers are those of the answer that it holds."""

    def __init__(self, services: Services, asking: Caller, answer: Response) -> None:
        self._services = services
        self._asking = asking
        self._answer = answer
        self.status_code = answer.status_code
        self.background = None
        self.raw_headers = answer.raw_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer. Raises NoLongerAllowedError."""
        sending = asyncio.ensure_future(self._answer(scope, receive, send))
        ending = asyncio.ensure_future(self._until_ended())
        try:
            await asyncio.wait({sending, ending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                return await sending
            text = "an answer to %s breaks off: the key or the session has ended"
            log.info(text, self._asking.name, extra=as_event("request.broken_off"))
            if BREAK_OFF not in scope.get("extensions", {}):
                raise NoLongerAllowedError
            scope["extensions"][BREAK_OFF]()
        finally:
            for task in (sending, ending):
                if not task.done():
                    task.cancel()
            await asyncio.gather(sending, ending, return_exceptions=True)

    async def _until_ended(self) -> None:
        feed, asking = self._services.principals.feed, self._asking
        with feed.changes() as changed:
            while asking.holds(feed.registry, now_ms()):
                left = None if asking.ends_at is None else max(0.0, (asking.ends_at - now_ms()) / 1000)
                try:
                    async with asyncio.timeout(left):
                        await changed.wait()
                except TimeoutError:
                    continue
                changed.clear()
