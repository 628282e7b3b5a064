"""What a request for a new job means, and what is wrong with it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from api.auth import Caller
from api.errors import ApiError, invalid
from api.models import JobRequest
from control.admission import Catalog, Kind
from schemas.commands import CreateJob
from schemas.datasets import Dataset
from schemas.job import Job, Options, Source

T = TypeVar("T")

_ORGANISATION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_PERCENT = re.compile(r"^(100(\.0+)?|\d{1,2}(\.\d+)?)%\Z")
_ALLOWED = (
    "fields: operation, dataset, organisation, file, source, from, till, options, reason; "
    "options: dry_run, max_errors, rows_per_second, if_busy"
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A request for a job that has nothing wrong with it but, perhaps, its file."""

    operation: str
    dataset: Dataset
    organisation: str
    options: Options
    reason: str | None
    file: str | None
    """A path on the server."""
    from_topic: bool


def body_as(data: bytes, kind: type[T], allowed: str) -> T:
    """A JSON body as a struct.

    Raises:
        ApiError: 400, with what does not fit and what is `allowed`.
    """
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise invalid(f"the request does not fit: {error}; {allowed}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"the body is not JSON: {error}") from error


def draft_of(data: bytes, catalog: Catalog, caller: Caller) -> Draft:
    """What a new job is to be, from the JSON of the request.

    Raises:
        ApiError: 400, with what to change and the values that are allowed; 403, the organisation is not the caller's.
    """
    if not data.strip():
        raise invalid(f"the request is empty; send a JSON object with the {_ALLOWED}")
    request = body_as(data, JobRequest, _ALLOWED)
    kind = catalog.operations.get(request.operation)
    if kind is None:
        known = ", ".join(sorted(catalog.operations))
        raise invalid(f"operation {request.operation[:80]!r} is not known; use one of {known}")
    if request.date_from is not None or request.date_till is not None:
        raise invalid("from and till belong to operation export; leave them out")
    if not _ORGANISATION.match(request.organisation):
        raise invalid(
            f"organisation {request.organisation[:80]!r} is not a name that can be used: 1 to 64 letters, digits, "
            f"dots, - and _, the first a letter or digit"
        )
    if not caller.may_see(request.organisation):
        raise ApiError(403, f"this API key may not act for organisation {request.organisation}")
    if request.source not in (None, "topic", "file"):
        raise invalid(f"source {request.source!r} is not known; send a file")
    if request.source == "topic" and request.file is not None:
        raise invalid("a job reads either a file or the topic, not both; leave out file or source")
    if request.source == "topic":
        raise invalid("rows from a topic are not available in this version; send a file")
    check_options(request.options)
    return Draft(
        operation=request.operation,
        dataset=_dataset(request, kind, catalog.datasets),
        organisation=request.organisation,
        options=request.options,
        reason=request.reason,
        file=request.file,
        from_topic=request.source == "topic",
    )


def _dataset(request: JobRequest, kind: Kind, datasets: Mapping[str, Dataset]) -> Dataset:
    only = kind.dataset
    if only is not None and request.dataset not in (None, only):
        raise invalid(f"operation {request.operation} is for dataset {only} only; leave dataset out")
    name = only or request.dataset
    known = ", ".join(sorted(datasets))
    if name is None:
        raise invalid(f"dataset is missing; use one of {known}")
    if name not in datasets:
        raise invalid(f"dataset {name[:80]!r} is not known; use one of {known}")
    return datasets[name]


def check_options(options: Options) -> None:
    """Refuse options that can't be used.

    Raises:
        ApiError: 400, with what to write instead.
    """
    limit = options.max_errors
    if (isinstance(limit, int) and limit < 0) or (isinstance(limit, str) and not _PERCENT.match(limit)):
        raise invalid(f"max_errors {limit!r} can't be used; give a number from 0 on, or a percentage such as '5%'")
    check_rate(options.rows_per_second)


def check_rate(rows_per_second: float | None) -> None:
    """Refuse a rate that can't be used.

    Raises:
        ApiError: 400.
    """
    if rows_per_second is not None and not 0 < rows_per_second < float("inf"):
        raise invalid("rows_per_second is a number above 0, or null for no limit")


def creation(draft: Draft, job_id: str, caller: Caller, source: Source) -> CreateJob:
    """The command that makes the job."""
    return CreateJob(
        job_id=job_id,
        by=caller.name,
        reason=draft.reason,
        operation=draft.operation,
        dataset=draft.dataset.name,
        organisation=draft.organisation,
        source=source,
        options=draft.options,
    )


def repeat_problem(job: Job, command: CreateJob) -> ApiError | None:
    """Why this can't be the repeat of the request that made `job`; None: it is one."""
    first: dict[str, Any] = {
        "operation": job.operation,
        "dataset": job.dataset,
        "organisation": job.organisation,
        "file": job.source.sha256,
    }
    second: dict[str, Any] = {
        "operation": command.operation,
        "dataset": command.dataset,
        "organisation": command.organisation,
        "file": command.source.sha256,
    }
    different = [name for name in first if first[name] != second[name]]
    if not different:
        return None
    return ApiError(
        422,
        f"this Idempotency-Key made job {job.id} already, with another {', '.join(different)}; "
        f"use a new key for a new job",
        {"job_id": job.id},
    )
