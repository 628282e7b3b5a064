"""Answers made of templates. Every value in a template is escaped."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.pages.words import cell, moment, state_name
from api.web.auth import Caller
from api.web.services import services_of
from runtime.text.formatting import duration, iso_time, number, size
from schemas.policies.principals import Role

_TEMPLATES = Path(__file__).parent.parent / "templates"


def wants_fragment(request: Request) -> bool:
    """Whether htmx sent the request: it puts the answer into the page that the browser shows."""
    return request.headers.get("hx-request") == "true"


def page(request: Request, template: str, code: int = 200, **values: Any) -> Response:
    """A whole page."""
    user: Caller | None = getattr(request.state, "caller", None)
    keyless = not services_of(request).settings.api_require_key
    common = {"user": user, "may": _powers(user), "keyless": keyless}
    return HTMLResponse(html_of(template, **{**common, **values}), code)


def _powers(user: Caller | None) -> dict[str, bool]:
    """Role -> whether the user may do what it may."""
    return {role.value: user is not None and user.role.covers(role) for role in Role}


def fragment(template: str, code: int = 200, headers: dict[str, str] | None = None, **values: Any) -> Response:
    """A part of a page."""
    return HTMLResponse(html_of(template, **values), code, headers)


def html_of(template: str, **values: Any) -> str:
    """What a template makes of these values."""
    return _environment().get_template(template).render(**values)


def go_to(request: Request, path: str) -> Response:
    """Redirect the browser to another page, whether htmx or the browser itself sent the form."""
    if wants_fragment(request):
        return Response(status_code=204, headers={"HX-Redirect": path})
    return RedirectResponse(path, 303)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "duration": duration,
        "size": size,
        "cell": cell,
        "moment": moment,
        "at_moment": lambda at: moment(iso_time(at) or ""),
        "state_name": state_name,
    }
    return environment
