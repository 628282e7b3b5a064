"""Structs as HTTP answers, and refusals too."""

from __future__ import annotations

import logging
import secrets
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError, error_body

log = logging.getLogger(__name__)


def json_answer(value: Any, code: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A struct or a dict as the JSON of an answer."""
    return Response(msgspec.json.encode(value), code, headers, "application/json")


def refusal(error: ApiError) -> Response:
    """The answer that tells a caller why not, and what to do."""
    return json_answer(error_body(error.code, error.message, error.details), error.code, error.headers)


async def on_api_error(request: Request, error: Exception) -> Response:
    """Answer of a request that a route refused."""
    assert isinstance(error, ApiError)
    return refusal(error)


def http_problem(request: Request, error: HTTPException) -> ApiError:
    """Why no route takes a request."""
    match error.status_code:
        case 404:
            text = f"there is nothing at {request.scope['path'][:200]}; /openapi.json describes what there is"
        case 405:
            allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").replace(" ", "").split(",")))
            text = f"{request.method} is not possible here; use {allowed or 'another method'}"
        case _:
            text = error.detail
    return ApiError(error.status_code, text, headers=dict(error.headers or {}))


def unexpected(scope: Scope) -> ApiError:
    """The exception that is being handled, logged under an id, as what the caller may know of it."""
    mark = secrets.token_hex(4)
    log.exception("request failed unexpectedly, id %s: %s %s", mark, scope["method"], scope["path"])
    return ApiError(
        500, f"something went wrong inside the API; its log has the cause under the id {mark}", {"id": mark}
    )


class UnexpectedErrors:
    """Answers what nobody thought of: logged under an id, with nothing of the program in the body."""

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
