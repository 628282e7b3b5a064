"""The page of one job, and the parts of it that are asked for again while it is open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError, RemovedError
from api.jobs.reading.dry_runs import preview_of
from api.jobs.reading.event_stream import event_source
from api.jobs.reading.job_view import job_view
from api.jobs.reading.queries import history_of
from api.jobs.reading.undone import undone_page
from api.models.jobs import JobView
from api.pages import rendering
from api.pages.available_actions import available_actions
from api.pages.words import (
    columns,
    counts,
    happened,
    makes_file,
    options,
    percent,
    said,
    sentence,
    timed,
    title,
    tone,
    written,
)
from api.web.services import Services, caller, services_of, visible_job
from runtime.clock import now_ms
from schemas.ids import job_id_for_start
from schemas.job import ENDED, RESTING, Job
from schemas.policies.principals import Role

_UNDONE_SHOWN = 10


async def show_job(request: Request) -> Response:
    """The whole page."""
    job = await visible_job(request)
    values = shown(request, job)
    return rendering.page(request, "job.html", mark=mark(job, values), **values)


async def show_live(request: Request) -> Response:
    """What moves: progress, lanes, what is waited for; all the rest, if the page has another state (``seen``)."""
    job, services, seen = await visible_job(request), services_of(request), request.query_params
    return live(request, job, seen=seen.get("seen"), told=seen.get("told") != newest_record(services, job))


async def watch_job(request: Request) -> Response:
    """The same events as those of REST, for the page's script."""
    return event_source(services_of(request), await visible_job(request))


def live(request: Request, job: Job, *, seen: str | None = None, told: bool = True) -> Response:
    """The parts that htmx puts in the places of the old ones: all of them, unless the page has `seen` this mark. The
    event has the slower parts ask for themselves, also when the history alone has been `told` more: a refusal stays
    beside its form then."""
    values = shown(request, job)
    now = mark(job, values)
    changed = seen != now
    headers = {"HX-Retarget": "#live", "HX-Reswap": "outerHTML"}
    if changed or told:
        headers["HX-Trigger-After-Settle"] = "job-changed"
    return rendering.fragment("live.html", headers=headers, changed=changed, mark=now, **values)


def shown(request: Request, job: Job) -> dict[str, Any]:
    """What the templates of a job are given."""
    services = services_of(request)
    view = job_view(job, services.view, now_ms())
    kind = services.catalog.operations.get(job.operation)
    real = real_of(services, job)
    return {
        "job": view,
        "title": title(view, kind),
        "tone": tone(view.state),
        "sentence": sentence(job, view, kind),
        "said": said(job, view),
        "timed": timed(view),
        "counts": counts(view),
        "percent": percent(job, view),
        "format": written(view),
        "columns": columns(view),
        "options": options(view),
        "offers": sorted(available_actions(job, services.catalog, caller(request).role)),
        "who": caller(request).name,
        "keyless": not services.settings.api_require_key and caller(request).session is None,
        "reads_only": not caller(request).role.covers(Role.OPERATOR),
        "newest": newest_record(services, job),
        "moving": job.state not in RESTING,
        "ended": job.state in ENDED,
        "file": makes_file(job, kind),
        "real": real,
        "lane_rows": lane_rows(view),
        "lane_errors": sorted({lane.error for lane in view.lanes if lane.error}),
    }


def lane_rows(view: JobView) -> int:
    """Rows at which a lane's bar is full: an equal share of the job's rows, or what the fullest lane has."""
    total = view.progress.rows_applied if view.phase == "undo" else view.progress.rows_total
    fullest = max((max(lane.applied_rows, lane.undone_rows) for lane in view.lanes), default=0)
    return max(1, fullest, (total or 0) // max(1, len(view.lanes)))


def real_of(services: Services, job: Job) -> Job | None:
    """The real job that was made of a dry run; None: there is none."""
    return services.view.jobs.get(job_id_for_start(job.id))


def mark(job: Job, values: dict[str, Any]) -> str:
    """Tells apart what the page shows besides what moves. It is made of the very parts, with all that they show but the
    sentence, which each answer has. `values`: as `shown` has them."""
    text = rendering.html_of("job_standing.html", **{**values, "sentence": ""})
    return f"{job.epoch}-{job.run}-{sha256(text.encode()).hexdigest()[:16]}"


def newest_record(services: Services, job: Job) -> str:
    """The offset of the newest record of the history; empty: there is none."""
    return "".join(map(str, services.view.event_offsets(job.id)[-1:]))


async def show_preview(request: Request) -> Response:
    """What a dry run has found."""

    async def found(services: Services, job: Job) -> dict[str, Any]:
        preview = await preview_of(services, job)
        names = [name for name in preview.rows[0].document if name != "sluice"] if preview.rows else []
        return {"preview": preview, "names": names}

    return await part_of_job(request, "preview.html", found)


async def show_undone(request: Request) -> Response:
    """What a rollback has done: counts, and the first rows whose documents are not as before."""

    async def found(services: Services, job: Job) -> dict[str, Any]:
        return {"undone": await undone_page(services, job, ("kept", "failed"), _UNDONE_SHOWN, None)}

    return await part_of_job(request, "undone.html", found)


async def show_history(request: Request) -> Response:
    """The audit trail, newest first."""

    async def found(services: Services, job: Job) -> dict[str, Any]:
        return {
            "entries": [
                {"entry": entry, "text": happened(entry)} for entry in reversed(await history_of(services, job))
            ]
        }

    return await part_of_job(request, "history.html", found)


async def part_of_job(
    request: Request, template: str, found: Callable[[Services, Job], Awaitable[dict[str, Any]]]
) -> Response:
    """Answer with the part alone to htmx, and with a page around it to a browser without scripts."""
    job, services = await visible_job(request), services_of(request)
    values, problem, again = {}, None, False
    try:
        values = await found(services, job)
    except RemovedError as error:
        problem = error.message
    except ApiError as error:
        if error.code != 503:
            raise
        problem, again = error.message, True  # the rest of the page is true all the same, and this part asks again
    values |= {"problem": problem, "again": again, **shown(request, job)}
    if rendering.wants_fragment(request):
        return rendering.fragment(template, **values)
    return rendering.page(request, "part.html", part=template, **values)
