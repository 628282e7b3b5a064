"""Where the pages are. They are for people, so the OpenAPI description leaves them out."""

from __future__ import annotations

from typing import Final

from starlette.routing import Route

from api.jobs.actions import COMMANDS
from api.jobs.export_file import get_result
from api.jobs.queries import get_errors_csv
from api.pages import acting, columns, job, listing, signing, starting
from api.pages.gate import Handler, gated, open_page
from api.pages.static import static_file

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
    f"{_JOB}/errors.csv": get_errors_csv,
    f"{_JOB}/result": get_result,
}

_POST: Final[dict[str, Handler]] = {
    "/start/columns": columns.show_columns,
    "/start/upload": starting.start_upload,
    "/start/teams": starting.start_teams,
    "/start/export": starting.start_export,
    **{f"{_JOB}/{action}": acting.acting(action) for action in COMMANDS},
    f"{_JOB}/rate": acting.set_rate,
    f"{_JOB}/start": acting.start,
    f"{_JOB}/retry-errors": acting.retry_errors,
    "/sign-out": signing.sign_out,
}


def page_routes() -> list[Route]:
    """Every route of the page."""
    return [
        *(Route(path, gated(handler), methods=["GET"]) for path, handler in _GET.items()),
        *(Route(path, gated(handler), methods=["POST"]) for path, handler in _POST.items()),
        Route("/sign-in", open_page(signing.show_sign_in), methods=["GET"]),
        Route("/sign-in", open_page(signing.sign_in), methods=["POST"]),
        Route("/static/{name}", open_page(static_file), methods=["GET"]),
    ]
