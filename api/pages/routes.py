"""Where the pages are. They are for people, so the OpenAPI description leaves them out."""

from __future__ import annotations

from typing import Final

from starlette.routing import BaseRoute, Mount

from api.jobs.actions import COMMANDS
from api.pages import acting, columns, estimating, files, job, listing, signing, starting
from api.pages.gate import gated, open_page
from api.web.routing import Handler, at

_JOB: Final = "/jobs/{job_id}"

_GET: Final[dict[str, Handler]] = {
    "/": listing.show_list,
    "/jobs": listing.show_jobs,
    _JOB: job.show_job,
    f"{_JOB}/live": job.show_live,
    f"{_JOB}/errors": job.show_errors,
    f"{_JOB}/preview": job.show_preview,
    f"{_JOB}/history": job.show_history,
    # The same as below /v1, for those who have signed in.
    f"{_JOB}/errors.csv": files.send_errors_csv,
    f"{_JOB}/result": files.send_result,
}

_POST: Final[dict[str, Handler]] = {
    "/columns": columns.show_columns,
    "/estimate/{operation}": estimating.show_estimate,
    "/start/{operation}": starting.start_job,
    **{f"{_JOB}/{action}": acting.acting(action) for action in COMMANDS},
    f"{_JOB}/rate": acting.set_rate,
    f"{_JOB}/start": acting.start,
    f"{_JOB}/retry-errors": acting.retry_errors,
    "/sign-out": signing.sign_out,
}


def page_routes() -> list[BaseRoute]:
    """Every route of the page."""
    return [
        *(at(path, GET=gated(handler)) for path, handler in _GET.items()),
        *(at(path, POST=gated(handler)) for path, handler in _POST.items()),
        at("/sign-in", GET=open_page(signing.show_sign_in), POST=open_page(signing.sign_in)),
        Mount("/static", files.StaticOfPage(directory=files.STATIC)),
    ]
