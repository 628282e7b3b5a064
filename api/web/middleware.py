"""What every request passes through before it reaches a route."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError
from api.web.responses import refusal, unexpected


class UnexpectedErrors:
    """Answers what nobody thought of: logged under an id, with nothing of the program in the body.

    Starlette's own handler of exceptions stands outside of all middleware, so that metrics would not count the answer,
    and raises the exception again, for which the server closes the connection.
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
        except Exception:
            if scope["type"] != "http":
                raise
            error = unexpected(scope)
            if begun:
                raise  # the server cuts the connection: a half answer must not look like a whole one
            await refusal(error)(scope, receive, send)


class KnownHosts:
    """Refuses requests that name another host: those of a web page whose own name has been made to mean this address.

    As Starlette's TrustedHostMiddleware, but with an answer in our own shape.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and not self._knows(Headers(scope=scope).get("host", "")):
            text = "this Host is not known; call the API as localhost, or set SLUICE_API_REQUIRE_KEY=true"
            await refusal(ApiError(400, text))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, host: str) -> bool:
        try:
            return urlsplit(f"//{host}").hostname in self._hosts
        except ValueError:
            return False
