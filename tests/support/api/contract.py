"""Compares the answers of an API in a test with the declarations of its routes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from starlette.datastructures import Headers
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.routes.rest import ENDPOINTS, description
from api.web.routing import JSON, Endpoint

_PLACES = [(compile_path(endpoint.path)[0], endpoint) for endpoint in ENDPOINTS]


class DeclaredAnswers:
    """Middleware that calls `report` with a sentence for every answer that differs from its declaration.

    It ignores answers of the page, and to requests that no route of REST takes.
    """

    def __init__(self, app: ASGIApp, report: Callable[[str], None]) -> None:
        self._app = app
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        endpoint = endpoint_of(scope) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        asked = f"{scope['method']} {scope['path'][:200]}"
        begun: Message = {}
        body = bytearray()

        async def compared(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.update(message)
                for problem in head_problems(endpoint, message["status"], Headers(raw=message["headers"])):
                    self._report(f"{asked}: {problem}")
            elif message["type"] == "http.response.body" and has_json(endpoint, begun["status"]):
                body.extend(message.get("body", b""))
                if scope["method"] != "HEAD" and not message.get("more_body", False):
                    for problem in body_problems(endpoint, begun["status"], bytes(body)):
                        self._report(f"{asked}: {problem}")
            await send(message)

        await self._app(scope, receive, compared)


def endpoint_of(scope: Scope) -> Endpoint | None:
    """The declaration of the route that takes a request; None: no route of REST does."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    return next(
        (endpoint for place, endpoint in _PLACES if endpoint.method == method and place.match(scope["path"])), None
    )


def has_json(endpoint: Endpoint, code: int) -> bool:
    """Whether an answer with this status is declared as the JSON of a struct."""
    answer = endpoint.answers.get(code)
    return answer is not None and answer.content is not None and not isinstance(answer.content, str)


def head_problems(endpoint: Endpoint, code: int, headers: Headers) -> list[str]:
    """The differences between an answer's status and headers and their declaration."""
    answer = endpoint.answers.get(code)
    if answer is None:
        return [f"{code} is not declared"]
    missing = [f"{code} comes without {name}" for name in answer.headers if name not in headers]
    media_type = headers.get("content-type", "").partition(";")[0]
    wanted = answer.content or "" if answer.content is None or isinstance(answer.content, str) else JSON
    return (
        missing if media_type == wanted else [*missing, f"{code} has the content type {media_type!r}, not {wanted!r}"]
    )


def body_problems(endpoint: Endpoint, code: int, body: bytes) -> list[str]:
    """The differences between the JSON of an answer and its schema in the description."""
    return [
        f"{code} does not fit its schema: {error.json_path} {error.message}"
        for error in _validator(endpoint.name, code).iter_errors(msgspec.json.decode(body))
    ]


@lru_cache
def _validator(name: str, code: int) -> Draft202012Validator:
    document = description()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    responses: dict[str, Any] = next(found["responses"] for found in operations if found["operationId"] == name)
    schema = responses[str(code)]["content"][JSON]["schema"]
    return Draft202012Validator({**schema, "components": document["components"]})
