"""Routes for orchestrators and monitoring: health, readiness, metrics."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from api.models.installation import Health, Readiness
from api.web.readiness import control_now
from api.web.responses import json_answer
from api.web.routing import Answer, Endpoint
from api.web.services import services_of


async def healthz(request: Request) -> Response:
    """Liveness: the process runs."""
    return json_answer(Health())


async def readyz(request: Request) -> Response:
    """200 once control works: the view is complete and Kafka answers."""
    services = services_of(request)
    control, elasticsearch = await asyncio.gather(
        control_now(services.commands, services.live), services.elasticsearch_state.get()
    )
    body = Readiness(
        ready=control.works,
        caught_up=control.caught_up,
        kafka="ok" if control.kafka else "Kafka does not answer",
        elasticsearch=elasticsearch,
    )
    return json_answer(body, 200 if control.works else 503)


async def metrics(request: Request) -> Response:
    """Metrics in Prometheus' text format."""
    text = await services_of(request).metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


ENDPOINTS: Final = (
    Endpoint("GET", "/healthz", healthz, "healthz", "The process runs", (Answer(200, "It does", Health),), role=None),
    Endpoint(
        "GET",
        "/readyz",
        readyz,
        "readyz",
        "Control works",
        (Answer(200, "It does", Readiness), Answer(503, "Not (yet)", Readiness)),
        role=None,
    ),
    Endpoint(
        "GET",
        "/metrics",
        metrics,
        "metrics",
        "Numbers for Prometheus",
        (Answer(200, "Text format 0.0.4", "text/plain"),),
        role=None,
    ),
)
