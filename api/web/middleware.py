"""Middleware around all routes: unexpected errors, and the check of the Host header."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError
from api.web.ending import NoLongerAllowedError
from api.web.responses import refusal_response, unexpected


class UnexpectedErrors:
    """Answers 500 to a request whose handler raises an unexpected exception, which is logged under an id.

    The answer has the id and no details. Starlette's own handler runs outside of all middleware, so that metrics would
    not count the answer; and it raises the exception again, after which the server closes the connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except NoLongerAllowedError:
            raise
        except Exception:
            if scope["type"] != "http":
                raise
            error = unexpected(scope)
            if begun:
                raise  # the server closes the connection: an incomplete answer must not look complete
            await refusal_response(error)(scope, receive, send)


class KnownHosts:
    """Refuses requests with another Host header, such as those of a web page that uses DNS rebinding.

    Like Starlette's TrustedHostMiddleware, but with our own error body.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and not self._knows(Headers(scope=scope).get("host", "")):
            text = "this Host is not known; call the API as localhost, or set SLUICE_API_REQUIRE_KEY=true"
            await refusal_response(ApiError(400, text))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, host: str) -> bool:
        try:
            return urlsplit(f"//{host}").hostname in self._hosts
        except ValueError:
            return False
