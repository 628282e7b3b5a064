"""What a job's first rows look like, as callers see it. Pure."""

from __future__ import annotations

import shlex

from api.models.jobs import SuspicionView
from schemas.job import Job


def suspicion_view(job: Job) -> SuspicionView | None:
    """The suspicion; None: there is none."""
    found = job.suspicion
    if found is None:
        return None
    return SuspicionView(
        kind=found.kind,
        columns=list(found.columns),
        by=found.by,
        fit=found.fit,
        rows=found.rows,
        message=found.message,
        refused=found.refused,
        columns_option=found.columns_option,
        command=_command(job, found.columns_option) if found.columns_option else None,
    )


def _command(job: Job, columns: dict[str, str | None]) -> str:
    """The command line that applies the stored file once more, with its columns put right."""
    maps = [word for name, meant in columns.items() for word in ("--map", f"{name}={meant or ''}")]
    return shlex.join(["sluice", "upload", "--again", job.id, *maps])
