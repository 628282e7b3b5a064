"""What a request for a new job means, and what is wrong with it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

import msgspec

from api.errors import ApiError, invalid
from api.models import JobRequest
from api.web.auth import Caller
from control.admission import Catalog, Kind
from control.limits import columns_problem, options_problem, rate_problem
from control.repeats import differences
from schemas.codec import UndecodableError, decode
from schemas.commands import CreateJob
from schemas.datasets import Dataset
from schemas.job import Job, Options, Source

T = TypeVar("T")

_ORGANISATION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_DAY = re.compile(r"^\d{4}-\d\d-\d\d\Z", re.ASCII)
_ALLOWED = (
    "fields: operation, dataset, organisation, file, source, from, till, options, reason; "
    "options: dry_run, max_errors, rows_per_second, if_busy, raw, columns, set, ignore_extra"
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
    from_query: bool = False
    """Its rows are in Elasticsearch."""
    date_from: str | None = None
    date_till: str | None = None


def body_as(data: bytes, kind: type[T], allowed: str) -> T:
    """A JSON body as a struct.

    Raises:
        ApiError: 400, with what does not fit and what is `allowed`.
    """
    try:
        body: T = decode(data or b"{}", kind)
    except UndecodableError as error:
        if isinstance(error.__cause__, msgspec.ValidationError):
            raise invalid(f"the request does not fit: {error}; {allowed}") from error
        raise invalid(f"the body is not JSON: {error}") from error
    return body


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
    exports = kind.dated
    if not exports and (request.date_from is not None or request.date_till is not None):
        raise invalid("from and till belong to operation export; leave them out")
    if exports and (request.file is not None or request.source is not None):
        raise invalid("an export takes its rows from the dataset; leave out file and source")
    if not _ORGANISATION.match(request.organisation):
        raise invalid(
            f"organisation {request.organisation[:80]!r} is not a name that can be used: 1 to 64 letters, digits, "
            f"dots, - and _, the first a letter or digit"
        )
    if not caller.may_see(request.organisation):
        raise ApiError(403, f"this API key may not act for organisation {request.organisation}")
    if request.source not in (None, "topic", "file"):
        raise invalid(f'source {request.source!r} is not known; send a file, or say "topic"')
    if request.source == "topic" and request.file is not None:
        raise invalid("a job reads either a file or the topic, not both; leave out file or source")
    check_options(request.options)
    dataset = _dataset(request, kind, catalog.datasets)
    kinds = {"topic"} if request.source == "topic" else kind.sources - {"topic"}
    problem = columns_problem(request.options, dataset, kinds)
    if problem is not None:
        raise invalid(problem)
    if exports:
        _check_export(request, dataset)
    return Draft(
        operation=request.operation,
        dataset=dataset,
        organisation=request.organisation,
        options=request.options,
        reason=request.reason,
        file=request.file,
        from_topic=request.source == "topic",
        from_query=exports,
        date_from=request.date_from,
        date_till=request.date_till,
    )


def _check_export(request: JobRequest, dataset: Dataset) -> None:
    if dataset.date_field is None:
        raise invalid(f"dataset {dataset.name} has no date (sluice.date_field), so it can't be exported by date")
    if request.date_from is None:
        raise invalid(
            "from is missing; an export takes the days from and till, written YYYY-MM-DD (till may be left out)"
        )
    first = _day("from", request.date_from)
    last = _day("till", request.date_till) if request.date_till is not None else None
    if last is not None and last < first:
        raise invalid(f"the range is the wrong way round: from {first} is after till {last}")
    if request.options.dry_run or request.options.max_errors is not None:
        raise invalid("dry_run and max_errors belong to operations that write rows; leave them out")


def _day(name: str, text: str) -> date:
    try:
        if not _DAY.match(text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise invalid(f"{name} {text[:80]!r} is not a day; write it YYYY-MM-DD") from None


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
    problem = options_problem(options)
    if problem is not None:
        raise invalid(problem)


def check_rate(rows_per_second: float | None) -> None:
    """Refuse a rate that can't be used.

    Raises:
        ApiError: 400.
    """
    problem = rate_problem(rows_per_second)
    if problem is not None:
        raise invalid(problem)


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
        date_from=draft.date_from,
        date_till=draft.date_till,
    )


def repeat_problem(job: Job, command: CreateJob) -> ApiError | None:
    """Why this can't be the repeat of the request that made `job`; None: it is one."""
    different = differences(job, command)
    if not different:
        return None
    return ApiError(
        422,
        f"this Idempotency-Key made job {job.id} already, with another {', '.join(different)}; "
        f"use a new key for a new job",
        {"job_id": job.id},
    )
