"""Refusals of a request: an HTTP status, and a message that says what to do."""

from __future__ import annotations

from typing import Any, Final

from control.errors import Rejected
from runtime.text.formatting import iso_time
from schemas.ids import JOB_ID
from schemas.job import Job
from schemas.policies.retention import StoreName

STATUS: Final[dict[int, str]] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "DEADLINE_EXCEEDED",
    409: "FAILED_PRECONDITION",
    410: "GONE",
    413: "PAYLOAD_TOO_LARGE",
    416: "OUT_OF_RANGE",
    422: "UNPROCESSABLE",
    429: "RESOURCE_EXHAUSTED",
    431: "HEADERS_TOO_LARGE",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    507: "INSUFFICIENT_STORAGE",
}
"""HTTP code -> the name it has in an error's JSON."""


RETRY_SECONDS: Final = "10"
"""Retry-After of a 429 that names no time of its own."""


class ApiError(Exception):
    """A refusal, which becomes the answer to the request. A retry helps with 429 and 503 only."""

    def __init__(
        self, code: int, message: str, details: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}
        self.headers = headers or {}
        if code == 429:
            self.headers.setdefault("Retry-After", RETRY_SECONDS)


class KafkaUnavailableError(Exception):
    """Kafka did not acknowledge a command; the message gives the reason. The command may be recorded all the same."""


class RecordTooLargeError(KafkaUnavailableError):
    """Kafka takes no record of this length: trying again does not help. Nothing is recorded."""


def status_name(code: int) -> str:
    """The name of an HTTP code, e.g. ``NOT_FOUND``."""
    return STATUS.get(code, "INTERNAL" if code >= 500 else "INVALID_ARGUMENT")


def error_body(code: int, message: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON of a refusal, the same for every route."""
    return {"error": {"code": code, "status": status_name(code), "message": message, "details": details or {}}}


def invalid(message: str, **details: Any) -> ApiError:
    """400: the request is malformed or not allowed; the message says what to change."""
    return ApiError(400, message, details)


def refused(rejected: Rejected) -> ApiError:
    """The answer to a request that the control agent rejects, or would reject."""
    return ApiError(rejected.code, rejected.message, rejected.details)


def no_such_job(job_id: str) -> ApiError:
    """404: also for another organisation's job, so that a caller can't find out which ids exist."""
    if not JOB_ID.match(job_id):
        text = f"{job_id[:80]!r} is not a job id; GET /v1/jobs lists the jobs that you may see"
        return ApiError(404, text, {"job_id": job_id[:80]})
    return ApiError(404, f"there is no job {job_id}; GET /v1/jobs lists those you may see", {"job_id": job_id})


class RemovedError(ApiError):
    """404: what is asked for of a job was removed, by a purge or since its retention was over."""

    def __init__(self, job: Job, store: StoreName) -> None:
        gone, what = job.lacks(store), _REMOVED[store]
        why = "by a purge" if job.purged_at is not None or job.purging else "as its retention was over"
        when = f" on {iso_time(gone)}" if gone is not None else ""
        super().__init__(404, f"{what} of job {job.id} were removed{when}, {why}; its history stays", {"store": store})


_REMOVED: Final[dict[StoreName, str]] = {
    "row_errors": "the row errors",
    "previews": "the first rows",
    "changes": "the changes",
    "undone": "the outcomes of the rollback",
    "results": "the rows",
}
"""Store -> what a request can ask for of it."""


def require_kept(job: Job, store: StoreName) -> None:
    """Raise RemovedError where the store has lost what it had of the job, or is about to."""
    if job.purging or job.lacks(store) is not None:
        raise RemovedError(job, store)


def unavailable(message: str, **details: Any) -> ApiError:
    """503: a server that the API depends on does not answer; a later retry helps."""
    return ApiError(503, message, details, {"Retry-After": "5"})
