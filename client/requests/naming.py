"""What a caller may name a job by."""

from __future__ import annotations

from typing import TypeAlias

from client.answers import Job

JobLike: TypeAlias = Job | str
"""A job, or its id."""


def id_of(job: JobLike) -> str:
    """The job's id."""
    return job if isinstance(job, str) else job.id
