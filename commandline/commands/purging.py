"""The command that purges a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from commandline.errors import FAILED, INTERRUPTED, ClientError, plain_errors
from commandline.parameters import JobId, Reason

if TYPE_CHECKING:
    from commandline.connection import Api, Json

app = typer.Typer()

_ASK_SECONDS = 20.0
_LOOK_SECONDS = 1.0


@app.command()
@plain_errors
def purge(
    job_id: JobId,
    reason: Reason = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until nothing is left.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the job as JSON.")] = False,
) -> None:
    """Remove for good all that holds values of a job that is over; its history stays, and the rows that it wrote."""
    from client.requests import acting
    from commandline.connection import Api
    from commandline.view.output import out, print_json, say

    api = Api()
    name = api.job(job_id)["id"]
    asked = acting.purge(name, reason=reason, wait=_ASK_SECONDS if wait else None)
    job = api.json(asked, look=f"`sluice job {name}`")
    try:
        if wait:
            job = _until_done(api, job, say)
    except KeyboardInterrupt:
        say(f"The command is on record and takes effect all the same. See it with `sluice job {name}`.")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(job)
    elif job["purged_at"] is not None:
        out(f"Job {name} is purged: nothing that holds its values is left, but the rows that it wrote.")
    elif job["purging"]:
        out(f"Job {name} is being purged.")
    if job["purge_problem"] is not None and job["purged_at"] is None:
        raise ClientError(f"job {name} is not purged: {job['purge_problem']}; ask again once that is mended", FAILED)


def _until_done(api: Api, job: Json, say: Callable[[str], None]) -> Json:
    if job["purging"]:
        say(f"Waiting until nothing of job {job['id']} is left: Elasticsearch and Kafka may take a minute or two.")
    told: set[str] = set()
    while job["purging"]:
        for trouble in sorted({lane["error"] for lane in job["lanes"] if lane["error"]} - told):
            say(trouble)
            told.add(trouble)
        api.sleep(_LOOK_SECONDS)
        job = api.job(job["id"])
    return job
