"""The command that sends corrected rows to the job that refused them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commandline.errors import plain_errors
from commandline.parameters import AsJson, JobId, Reason, Wait

app = typer.Typer()


@app.command("retry-errors")
@plain_errors
def retry_errors(
    job_id: JobId,
    file: Annotated[Path, typer.Argument(help="What `sluice errors ID --csv` has written, corrected.")],
    reason: Reason = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Apply corrected rows to the job that refused them."""
    from client.requests import acting
    from commandline.concluding import conclude
    from commandline.connection import Api

    api = Api()
    name = api.job(job_id)["id"]
    job = api.json(acting.retry_errors(name, file, reason=reason or None), look=f"`sluice job {name}`")
    conclude(job, wait=wait, as_json=as_json)
