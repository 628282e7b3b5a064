"""The routes for machines and for a first look: health, readiness, metrics, the API's description, the start page."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path

from elasticsearch import ApiError as ElasticsearchError
from elasticsearch import AsyncElasticsearch, TransportError
from jinja2 import Environment, FileSystemLoader
from prometheus_client import generate_latest
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api.answers import json_answer
from api.job_json import job_view
from api.models import Readiness
from api.openapi import document
from api.paging import Query, page
from api.services import caller, now_ms, services

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


async def index(request: Request) -> Response:
    """The page for people: the newest jobs."""
    asking, parts = caller(request), services(request)
    jobs, _ = page(parts.view.jobs.values(), Query(), asking)
    now = now_ms()
    shown = [job_view(job, parts.view, now) for job in jobs]
    template = _templates().get_template("index.html")
    return HTMLResponse(template.render(jobs=shown, caught_up=parts.live.caught_up))


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
