"""The access log: a line for each request that is over, with who asked for what, and never with a value."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.web.auth import Caller
from runtime.telemetry.log_events import as_event

log = logging.getLogger("sluice.access")

_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics", "/static"})
"""Routes that are asked for every few seconds: an answer that is no refusal is logged at the level DEBUG."""


class AccessLog:
    """Middleware that writes the line once the answer has been sent, or has broken off.

    It has the route, with the names of what varies in it: paths and queries may hold values. It has a
    job's id if the caller may see the job.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, code, sent, complete = time.perf_counter(), 0, 0, False

        async def counted(message: Message) -> None:
            nonlocal code, sent, complete
            if message["type"] == "http.response.start":
                code = message["status"]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
                complete = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            _write(scope, code, sent, complete, time.perf_counter() - begun)


def _write(scope: Scope, code: int, sent: int, complete: bool, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "none")
    level = logging.DEBUG if route in _PROBES and code < 400 else logging.INFO
    if not log.isEnabledFor(level):
        return
    state: dict[str, Any] = scope.get("state", {})
    caller: Caller | None = state.get("caller")
    client = scope.get("client")
    line: dict[str, Any] = {
        "principal": caller.name if caller else None,
        "key": caller.key_id if caller else None,
        "method": scope["method"],
        "route": route,
        "job": state.get("job_id"),
        "status": code,
        "ms": round(seconds * 1000, 1),
        "bytes": sent,
        "address": client[0] if client else None,
    }
    if not complete:
        line["broken_off"] = True
    log.log(level, "%s", words(line), extra=as_event("request.answered", **line))


def words(fields: Mapping[str, Any]) -> str:
    """Fields as ``name=value``; a value is JSON, so that none ends its line."""
    return " ".join(f"{name}={json.dumps(value)}" for name, value in fields.items() if value is not None)
