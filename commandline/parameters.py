"""Parameters that several commands have, as typer reads them."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.completion import job_ids

JobId = Annotated[
    str,
    typer.Argument(metavar="ID", help="The job's id, the beginning of it, or `last`.", autocompletion=job_ids),
]
Reason = Annotated[str | None, typer.Option(help="Why, for the audit trail.")]
Wait = Annotated[bool, typer.Option("--wait", help="Show the progress until the job has ended.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
StartAt = Annotated[
    str | None, typer.Option(metavar="TIME", help="When the job starts: 2026-01-31T22:00, 22:00, or in 90m, 2h, 1d.")
]
Notify = Annotated[
    str | None, typer.Option(metavar="URL|NAME", help="Tell this address or webhook when the job stops.")
]
