"""The whole installation, above the list of jobs."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.glance.installation import installation, surroundings
from api.pages import rendering
from api.pages.words import tone
from api.web.services import caller, services_of
from control.moves import allowed_states
from schemas.job import ENDED, State
from schemas.messages.commands import PauseJob
from schemas.policies.principals import Role


async def show_installation(request: Request) -> Response:
    """The head alone, as it is now."""
    if not rendering.wants_fragment(request):
        return RedirectResponse("/", 303)
    return rendering.fragment("installation.html", **await head(request))


async def head(request: Request) -> dict[str, Any]:
    """What the template of the head is given."""
    services = services_of(request)
    found = await installation(services, surroundings(request), caller(request))
    return {
        "all": found,
        "states_now": [(state, found.states[state], tone(state)) for state in State if found.states[state]],
        "stoppable": caller(request).role.covers(Role.OPERATOR)
        and any(found.states[state] for state in allowed_states(PauseJob)),
        "at_work": any(found.states[state] for state in State if state not in ENDED),
    }
