"""The routes for machines: health, readiness, metrics, the API's description."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from api.models import Readiness
from api.openapi import document
from api.web.responses import json_answer
from api.web.services import services


async def healthz(request: Request) -> Response:
    """The process runs."""
    return json_answer({"status": "ok"})


async def readyz(request: Request) -> Response:
    """200 once control works: the view is complete and Kafka answers."""
    parts = services(request)
    kafka, elasticsearch = await asyncio.gather(parts.commands.answers(), parts.elasticsearch_state.get())
    ready = kafka and parts.live.caught_up
    body = Readiness(
        ready=ready,
        caught_up=parts.live.caught_up,
        kafka="ok" if kafka else "Kafka does not answer",
        elasticsearch=elasticsearch,
    )
    return json_answer(body, 200 if ready else 503)


async def metrics(request: Request) -> Response:
    """Numbers in Prometheus' text format."""
    text = await services(request).metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def openapi(request: Request) -> Response:
    """The API's description, OpenAPI 3.1."""
    return json_answer(document())
