"""Every route of REST, and the description that is made of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from api.openapi import document
from api.routes import commands, drafts, exports, glance, jobs, keys, limits, many, mappings, reports, service, webhooks
from api.web.responses import json_answer
from api.web.routing import JSON, Answer, Endpoint


async def openapi(request: Request) -> Response:
    """The API's description, OpenAPI 3.1."""
    return json_answer(description())


@lru_cache(maxsize=1)
def description() -> dict[str, Any]:
    """The API's description."""
    return document(GROUPS)


_DESCRIPTION: Final = Endpoint(
    "GET",
    "/openapi.json",
    openapi,
    "getDescription",
    "This text",
    (Answer(200, "OpenAPI 3.1", JSON),),
    role=None,
)

GROUPS: Final[dict[str, tuple[Endpoint, ...]]] = {
    "Jobs": jobs.ENDPOINTS,
    "Drafts": drafts.ENDPOINTS,
    "Exports": exports.ENDPOINTS,
    "Commands": (*commands.ENDPOINTS, *many.ENDPOINTS),
    "Mappings": mappings.ENDPOINTS,
    "Reports": (*reports.ENDPOINTS, *glance.ENDPOINTS),
    "Keys": keys.ENDPOINTS,
    "Webhooks": webhooks.ENDPOINTS,
    "Service": (*limits.ENDPOINTS, *service.ENDPOINTS, _DESCRIPTION),
}
"""Name of a group -> its routes; generated clients have a class for each group."""

ENDPOINTS: Final = tuple(endpoint for group in GROUPS.values() for endpoint in group)
