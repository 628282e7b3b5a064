"""HTTP answers made of structs and of refusals."""

from __future__ import annotations

import logging
import secrets
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from api.errors import ApiError, error_body
from runtime.telemetry.log_events import as_event

log = logging.getLogger(__name__)


def json_answer(value: Any, code: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer with a struct or a dict as JSON."""
    return encoded_answer(msgspec.json.encode(value), code, headers)


def encoded_answer(value: bytes, code: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer with what is JSON already."""
    return Response(value, code, headers, "application/json")


def refusal_response(error: ApiError) -> Response:
    """The answer of a refusal: its message says why, and what to do."""
    return json_answer(error_body(error.code, error.message, error.details), error.code, error.headers)


async def on_api_error(request: Request, error: Exception) -> Response:
    """The answer to a request that a route refused."""
    assert isinstance(error, ApiError)
    return refusal_response(error)


def http_problem(request: Request, error: HTTPException) -> ApiError:
    """The refusal of a request that no route takes."""
    match error.status_code:
        case 404:
            text = f"there is no route {request.scope['path'][:200]}; /openapi.json describes what there is"
        case 405:
            allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").replace(" ", "").split(",")))
            text = f"{request.method} is not possible here; use {allowed or 'another method'}"
        case _:
            text = error.detail
    return ApiError(error.status_code, text, headers=dict(error.headers or {}))


def unexpected(scope: Scope) -> ApiError:
    """Log the exception that is being handled under an id; returns a refusal with that id and no details."""
    mark = secrets.token_hex(4)
    route = getattr(scope.get("route"), "path", "none")  # the path itself may hold anything
    log.exception(
        "request failed unexpectedly, id %s: %s %s",
        mark,
        scope["method"],
        route,
        extra=as_event("request.failed", id=mark),
    )
    return ApiError(
        500, f"something went wrong inside the API; its log has the cause under the id {mark}", {"id": mark}
    )
