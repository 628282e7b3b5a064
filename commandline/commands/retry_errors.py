"""The command that sends corrected rows to the job that refused them."""

from __future__ import annotations

import sys
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
    file: Annotated[
        str, typer.Argument(help="What `sluice errors ID --csv` has written, corrected; - for standard input.")
    ],
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
    rows = sys.stdin.buffer if file == "-" else Path(file)
    job = api.json(acting.retry_errors(name, rows, reason=reason or None), look=f"`sluice job {name}`")
    conclude(job, wait=wait, as_json=as_json)
