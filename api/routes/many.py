"""The route that gives one command to many jobs."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from api.glance.many import act_on_many
from api.glance.models import ManyAnswer, ManyRequest
from api.routes.answers import JOBS
from api.routes.commands import WAIT, wait_seconds
from api.web.bodies import short_body
from api.web.parsing import body_as
from api.web.responses import json_answer
from api.web.routing import Answer, Body, Endpoint, unavailable
from api.web.services import caller, caught_up, services_of
from schemas.policies.principals import Role


async def act_on_jobs(request: Request) -> Response:
    """Send the command for each of the jobs; with ``?wait=SECONDS``, wait until they rest."""
    services, asking = services_of(request), caller(request)
    await caught_up(services)
    wait = wait_seconds(request)
    asked = body_as(await short_body(request), ManyRequest)
    with services.waiting.granted(asking.bucket, wait) as seconds:
        answer = await act_on_many(services, asking, asked, seconds)
    return json_answer(answer, 202 if answer.under_way or answer.unanswered else 200)


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        f"{JOBS}/actions",
        act_on_jobs,
        "actOnJobs",
        "Pause, resume, terminate or roll back many jobs at once",
        (
            Answer(
                200, "No job is still on its way; with preview: the jobs that the command would concern", ManyAnswer
            ),
            Answer(202, "Some jobs are on their way", ManyAnswer),
            unavailable("The API has just started, and does not know every job yet"),
        ),
        (WAIT,),
        Body(ManyRequest),
        "The answer names the jobs for which it was refused, and those that are still on their way.",
        role=Role.OPERATOR,
    ),
)
