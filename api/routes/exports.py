"""The route that says how large an export would be."""

from __future__ import annotations

import secrets
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from api.jobs.creation.estimates import estimate_of
from api.jobs.creation.job_request import Admission
from api.jobs.creation.options_body import options_body_as
from api.models.requests import Estimate, EstimateRequest
from api.web.bodies import short_body
from api.web.responses import json_answer
from api.web.routing import Answer, Body, Endpoint, refusal, unavailable
from api.web.services import caller, caught_up, services_of
from runtime.clock import now_ms
from schemas.ids import new_job_id
from schemas.policies.principals import Role


async def estimate_export(request: Request) -> Response:
    """The number of rows and the size of an export that is not started."""
    services, asking = services_of(request), caller(request)
    asked, _ = options_body_as(await short_body(request), EstimateRequest)
    await caught_up(services)
    admission = Admission(new_job_id(now_ms(), secrets.randbits(35)), asking, services.catalog)
    return json_answer(await estimate_of(services, admission, asked))


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/v1/exports/estimate",
        estimate_export,
        "estimateExport",
        "How many rows an export would have",
        (
            Answer(200, "The estimate", Estimate),
            refusal(
                403, "The organisation is not the caller's, or a web page of another site sends this without a key"
            ),
            refusal(413, "The JSON is too large"),
            unavailable("Elasticsearch does not answer, or the API has just started"),
        ),
        body=Body(EstimateRequest),
        role=Role.OPERATOR,
        description="The body is the export's; `operation` may be left out.",
    ),
)
