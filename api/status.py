"""The routes for machines: health, readiness, metrics, the API's description."""

from __future__ import annotations

import asyncio

from elasticsearch import ApiError as ElasticsearchError
from elasticsearch import AsyncElasticsearch, TransportError
from prometheus_client import generate_latest
from starlette.requests import Request
from starlette.responses import Response

from api.answers import json_answer
from api.models import Readiness
from api.openapi import document
from api.services import services

_ELASTICSEARCH_SECONDS = 2.0


async def healthz(request: Request) -> Response:
    """The process runs."""
    return json_answer({"status": "ok"})


async def readyz(request: Request) -> Response:
    """200 once control works: the view is complete and Kafka answers."""
    parts = services(request)
    kafka, elasticsearch = await asyncio.gather(parts.commands.answers(), _elasticsearch(parts.elasticsearch))
    ready = kafka and parts.live.caught_up
    body = Readiness(
        ready=ready,
        caught_up=parts.live.caught_up,
        kafka="ok" if kafka else "Kafka does not answer",
        elasticsearch=elasticsearch,
    )
    return json_answer(body, 200 if ready else 503)


async def _elasticsearch(client: AsyncElasticsearch) -> str:
    try:
        quick = client.options(request_timeout=_ELASTICSEARCH_SECONDS)
        health = await quick.cluster.health(filter_path="status")
    except (TransportError, ElasticsearchError) as error:
        return f"Elasticsearch does not answer ({type(error).__name__}); reports and row errors wait for it"
    return "ok" if health["status"] != "red" else "Elasticsearch is red: some of its data cannot be reached"


async def metrics(request: Request) -> Response:
    """Numbers in Prometheus' text format."""
    text = generate_latest(services(request).metrics.registry)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def openapi(request: Request) -> Response:
    """The API's description, OpenAPI 3.1."""
    return json_answer(document())
