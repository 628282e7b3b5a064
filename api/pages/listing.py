"""The list of jobs, and the forms that start them."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any
from urllib.parse import urlencode

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.errors import ApiError
from api.glance.rows_over_time import over_time
from api.jobs.limits import limits_of
from api.jobs.reading.job_view import job_view
from api.jobs.reading.paging import Query, query_of
from api.jobs.reading.queries import page_of_all
from api.mappings import MappingName
from api.models.installation import LimitList
from api.models.jobs import JobView
from api.pages import rendering
from api.pages.glance.drawing import spark
from api.pages.glance.head import head
from api.pages.start_forms import start_forms
from api.pages.words import counts, percent, title, tone
from api.web.services import caller, services_of
from control.creation.admission import Catalog
from runtime.clock import now_ms
from schemas.job import ENDED, Job, State
from schemas.policies.principals import Role

_LIMIT = 20
_MAPPINGS_SECONDS = 1.0
_MOST_LIMITED = 5
"""Organisations whose limits the page shows, at most."""
_FILTERS = ("state", "operation", "organisation")


async def show_list(request: Request) -> Response:
    """The start page: the jobs, and the forms."""
    catalog, own = services_of(request).catalog, caller(request).organisations
    return rendering.page(
        request,
        "list.html",
        **await _jobs(request),
        **await head(request),
        states=list(State),
        operations=sorted(catalog.operations),
        forms=start_forms(catalog),
        mappings=await _mappings(request),
        addresses=bool(services_of(request).settings.source_prefixes),
        organisations=None if own is None else sorted(own),
        limits=await _limits(request),
        # Idempotency keys: a form that is sent twice makes one job.
        keys={name: secrets.token_urlsafe(16) for name in catalog.operations},
    )


async def _limits(request: Request) -> list[LimitList]:
    """The limits that something counts against now: of the organisation that the list shows, or of the caller's own."""
    services, asking = services_of(request), caller(request)
    chosen = request.query_params.get("organisation", "").strip()
    shown = [chosen] if chosen else sorted(asking.organisations or ("default",))[:_MOST_LIMITED]
    lists = [await limits_of(services, organisation) for organisation in shown if asking.may_see(organisation)]
    return [replace(one, limits=[limit for limit in one.limits if limit.used is not None]) for one in lists]


async def _mappings(request: Request) -> list[MappingName]:
    """The mappings to choose from; none while Elasticsearch does not answer: the user can type a name."""
    asking = caller(request)
    try:
        async with asyncio.timeout(_MAPPINGS_SECONDS):
            found = await services_of(request).mappings.names(asking.organisations)
    except (ApiError, TimeoutError):
        return []
    return [mapping for mapping in found if asking.may_see(mapping.organisation)]


async def show_jobs(request: Request) -> Response:
    """The list alone, as it is now."""
    if not rendering.wants_fragment(request):
        return RedirectResponse(f"/?{request.scope['query_string'].decode('latin-1')}", 303)
    return rendering.fragment("jobs.html", **await _jobs(request))


async def _jobs(request: Request) -> dict[str, Any]:
    services = services_of(request)
    given = {name: text for name in (*_FILTERS, "after") if (text := request.query_params.get(name, "").strip())}
    query: Query = query_of(
        [*given.items(), ("limit", str(_LIMIT))], services.catalog.operations, caller(request).scope
    )
    jobs, following = await page_of_all(services, query, caller(request))
    now = now_ms()
    sparks = await over_time(request).sparklines(jobs)
    rows = [
        {**_row(job, job_view(job, services.view, now), services.catalog), "spark": spark(sparks.get(job.id, ()))}
        for job in jobs
    ]
    chosen = {name: given[name] for name in _FILTERS if name in given}
    return {
        "jobs": rows,
        "may_start": caller(request).role.covers(Role.OPERATOR),
        "caught_up": services.live.caught_up,
        "chosen": chosen,
        "here": urlencode(given),
        "newest": f"/?{urlencode(chosen)}" if "after" in given else None,
        "older": f"/?{urlencode({**chosen, 'after': following})}" if following else None,
        "busy": any(job.state not in ENDED for job in jobs),
    }


def _row(job: Job, view: JobView, catalog: Catalog) -> dict[str, Any]:
    return {
        "view": view,
        "title": title(view, catalog.operations.get(job.operation)),
        "tone": tone(view.state),
        "counts": counts(view),
        "percent": percent(job, view),
    }
