"""One command for many jobs on the page: a form says which, a page what it concerns, a further one what came of it."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from api.errors import invalid
from api.glance.many import act_on_many
from api.glance.models import ManyRequest, Outcome
from api.pages import rendering
from api.pages.fields import pairs_of
from api.pages.words import tone
from api.web.parsing import values_as
from api.web.services import caller, caught_up, services_of
from schemas.job import State

_FILTERS: Final = ("state", "operation", "organisation")
_WAIT_SECONDS: Final = 5.0
_MOST_FIELDS: Final = 1100
_SHOWN: Final = 50
_WORDS: Final = {"pause": "Pause", "resume": "Resume", "terminate": "Terminate", "rollback": "Roll back"}
_TOLD: Final = {
    "done": "Done",
    "under_way": "Under way",
    "refused": "Refused",
    "unanswered": "No worker has taken it yet",
    "left": "Left as it is",
    "concerned": "Concerned",
}


async def show_stop(request: Request) -> Response:
    """What an emergency stop concerns: every job that can be paused."""
    return await _asked(request, [("action", "pause"), ("which", "all")], sure=False)


async def act_on_jobs(request: Request) -> Response:
    """What the command concerns; once that is confirmed, what came of it."""
    pairs = await pairs_of(request, _MOST_FIELDS)
    return await _asked(request, pairs, sure=("sure", "yes") in pairs)


async def _asked(request: Request, pairs: list[tuple[str, str]], *, sure: bool) -> Response:
    services = services_of(request)
    await caught_up(services)
    asked = many_request_in(pairs, preview=not sure)
    answer = await act_on_many(services, caller(request), asked, _WAIT_SECONDS if sure else 0.0)
    left_out = ("sure", "reason", "rows")
    return rendering.page(
        request,
        "many.html",
        answer=answer,
        action=asked.action,
        word=_WORDS[asked.action],
        reason=asked.reason,
        sure=sure,
        kept=[(name, value) for name, value in pairs if name not in left_out],
        outcomes=[_shown(outcome) for outcome in answer.outcomes[:_SHOWN]],
        more=max(0, len(answer.outcomes) - _SHOWN),
    )


def many_request_in(pairs: list[tuple[str, str]], *, preview: bool) -> ManyRequest:
    """The request that a form's fields stand for.

    Raises:
        ApiError: 400, it does not say which jobs, or does not fit.
    """
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    which = values.get("which", [""])[-1]
    asked: dict[str, Any] = {
        "action": values.get("action", [""])[-1],
        "reason": values.get("reason", [""])[-1].strip() or None,
        "keep_rows": values.get("rows", [""])[-1] == "keep",
        "preview": preview,
    }
    if which == "ticked":
        if "job" not in values:
            raise invalid("no job is ticked: go back, and tick those that you mean in the list")
        asked["jobs"] = values["job"]
    elif which == "all":
        asked["all"] = True
    else:
        chosen = {name: [text for text in values.get(name, []) if text.strip()] for name in _FILTERS}
        if not any(chosen.values()):
            raise invalid("the list is not filtered: filter it first, or tick the jobs that you mean")
        asked["filter"] = chosen
    return values_as(asked, ManyRequest)


def _shown(outcome: Outcome) -> dict[str, Any]:
    return {
        "id": outcome.id,
        "state": outcome.state,
        "tone": tone(State(outcome.state)) if outcome.state else "rest",
        "told": _TOLD[outcome.outcome],
        "message": outcome.message,
    }
