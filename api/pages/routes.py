"""Where the pages are. They are for people, so the OpenAPI description leaves them out."""

from __future__ import annotations

from typing import Final

from starlette.routing import BaseRoute, Mount

from api.jobs.actions import COMMANDS, ROLES
from api.pages import acting, files, job, listing, webhooks
from api.pages.access import keys, provider, signing
from api.pages.access.gate import gated, open_page
from api.pages.creation import again, columns, estimating, starting
from api.pages.glance import errors, head, many, plot, report
from api.web.routing import Handler, at
from schemas.policies.principals import Role

_JOB: Final = "/jobs/{job_id}"

_READ: Final[dict[str, Handler]] = {
    "/": listing.show_list,
    "/installation": head.show_installation,
    "/jobs": listing.show_jobs,
    _JOB: job.show_job,
    f"{_JOB}/live": job.show_live,
    f"{_JOB}/watch": job.watch_job,
    f"{_JOB}/again": again.show_again,
    f"{_JOB}/errors": errors.show_errors,
    f"{_JOB}/plot": plot.show_plot,
    f"{_JOB}/report": report.show_report,
    f"{_JOB}/preview": job.show_preview,
    f"{_JOB}/undone": job.show_undone,
    f"{_JOB}/history": job.show_history,
    # The same as below /v1, for those who have signed in.
    f"{_JOB}/errors.csv": files.send_errors_csv,
    f"{_JOB}/changes.csv": files.send_changes_csv,
    f"{_JOB}/undone.csv": files.send_undone_csv,
    f"{_JOB}/result": files.send_result,
}

_ACT: Final[dict[str, Handler]] = {
    "/columns": columns.show_columns,
    "/jobs/actions": many.act_on_jobs,
    "/estimate/{operation}": estimating.show_estimate,
    "/start/{operation}": starting.start_job,
    **{f"{_JOB}/{action}": acting.acting(action) for action in COMMANDS},
    f"{_JOB}/rate": acting.set_rate,
    f"{_JOB}/again": again.send_again,
    f"{_JOB}/columns": columns.show_stored_columns,
    f"{_JOB}/start": acting.start,
    f"{_JOB}/retry-errors": acting.retry_errors,
}

PAGES: Final[tuple[tuple[str, str, Handler, Role], ...]] = (
    *(("GET", path, handler, Role.VIEWER) for path, handler in _READ.items()),
    *(("POST", path, handler, ROLES.get(path.rpartition("/")[2], Role.OPERATOR)) for path, handler in _ACT.items()),
    ("GET", "/stop", many.show_stop, Role.OPERATOR),
    ("GET", f"{_JOB}/file", files.draft_offset, Role.OPERATOR),
    ("PATCH", f"{_JOB}/file", files.take_draft_part, Role.OPERATOR),
    ("POST", "/sign-out", signing.sign_out, Role.VIEWER),
    ("GET", "/webhooks", webhooks.show_webhooks, Role.OPERATOR),
    ("POST", "/webhooks", webhooks.create_webhook, Role.OPERATOR),
    *(
        ("POST", f"/webhooks/{{webhook_id}}/{action}", handler, Role.OPERATOR)
        for action, handler in webhooks.ACTIONS.items()
    ),
    ("GET", "/keys", keys.show_keys, Role.ADMIN),
    ("POST", "/keys", keys.create_key, Role.ADMIN),
    ("POST", "/keys/{key_id}/revoke", keys.revoke, Role.ADMIN),
)
"""Method, path, handler, and the least role that it takes."""


def page_routes() -> list[BaseRoute]:
    """Every route of the page."""
    paths: dict[str, dict[str, Handler]] = {}
    for method, path, handler, role in PAGES:
        paths.setdefault(path, {})[method] = gated(handler, role)
    return [
        *(at(path, **handlers) for path, handlers in paths.items()),
        at("/sign-in", GET=open_page(signing.show_sign_in), POST=open_page(signing.sign_in)),
        at("/sign-in/provider", GET=open_page(provider.begin)),
        at(provider.CALLBACK, GET=open_page(provider.come_back)),
        Mount("/static", files.StaticOfPage(directory=files.STATIC)),
    ]
