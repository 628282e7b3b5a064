"""A job as the answer of a route, and the paths of jobs."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from api.jobs.reading.job_view import job_view
from api.web.responses import json_answer
from api.web.services import Services
from runtime.clock import now_ms
from schemas.job import Job

JOBS: Final = "/v1/jobs"
JOB: Final = f"{JOBS}/{{job_id}}"


def job_answer(services: Services, job: Job, code: int = 200, waiting_for: str | None = None) -> Response:
    """The job as it is now."""
    return json_answer(job_view(job, services.view, now_ms(), waiting_for), code)


def made_answer(services: Services, job: Job, code: int = 201) -> Response:
    """A new job, with its path in the Location header."""
    answer = job_answer(services, job, code)
    answer.headers["Location"] = JOB.format(job_id=job.id)
    return answer
