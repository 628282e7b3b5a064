"""How many rows an export would have, and how large its file would be, before it is started."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.elastic.documents import Documents
from api.errors import ApiError, invalid, unavailable
from api.jobs.creation.job_request import Admission
from api.models.requests import Estimate, JobRequest
from api.web.services import Services
from control.creation.exports import confirmation_words, far_larger
from runtime.text.formatting import size as size_words
from schemas.exports import range_query
from schemas.generations import data_indices
from schemas.indices import index_name
from schemas.job import Job, State
from schemas.messages.commands import CreateJob

_SAMPLES: Final = (200, 5)
"""Rows that the size is estimated from; fewer where they are long."""
_SECONDS: Final = 5.0
_WHAT: Final = "the rows of a dataset are"


async def estimate_of(services: Services, admission: Admission, asked: JobRequest) -> Estimate:
    """The estimate for a request that could make an export.

    Raises:
        ApiError: 400 and 403 as for the job itself; 503, Elasticsearch does not answer.
    """
    command = admission.command(asked, None)
    if not _counts(services, command):
        raise invalid(f"operation {command.operation} makes no file of a dataset's rows: an estimate is for exports")
    return await _estimate(services, command)


async def export_rows(services: Services, command: CreateJob) -> int | None:
    """The rows that an export would have now; None: Elasticsearch does not say. Its reader counts them as well."""
    if services.catalog.datasets[command.dataset].date_field is None or command.date_from is None:
        return None
    index, query = _range(services, command)
    try:
        return await services.documents.count(_WHAT, index, query)
    except ApiError:
        return None


async def require_confirmed(services: Services, admission: Admission, asked: JobRequest, command: CreateJob) -> None:
    """Refuse an export that is far larger than any before, unless the request confirms it, or has made its job before.

    If Elasticsearch does not answer, the API makes the job without counting: its reader waits for Elasticsearch.

    Raises:
        ApiError: 409, with the number of rows.
    """
    if asked.confirm or admission.made is not None or not _counts(services, command):
        return
    try:
        found = await _estimate(services, command)
    except ApiError as error:
        if error.code != 503:
            raise
        return
    if found.needs_confirm and found.largest_before is not None:
        text = confirmation_words(found.rows, size_words(found.bytes), found.largest_before)
        details = {"rows": found.rows, "bytes": found.bytes, "largest_before": found.largest_before}
        raise ApiError(409, text, details)


def _counts(services: Services, command: CreateJob) -> bool:
    """Whether the job is an export: a file of rows that lie in a range of dates."""
    kind = services.catalog.operations[command.operation]
    return kind.makes_file and kind.dated and services.catalog.datasets[command.dataset].date_field is not None


def _range(services: Services, command: CreateJob) -> tuple[str, dict[str, Any]]:
    """The indices of an export's rows, and the query that finds them."""
    field = services.catalog.datasets[command.dataset].date_field or ""
    query = range_query(field, command.organisation, command.date_from or "", command.date_till)
    return data_indices(services.settings.prefix, command.dataset), query


async def _estimate(services: Services, command: CreateJob) -> Estimate:
    dataset = services.catalog.datasets[command.dataset]
    index, query = _range(services, command)
    rows, sample = await _counted(services.documents, index, query, dataset.columns)
    recorded = await _largest_recorded(services.documents, index_name(services.settings.prefix, "jobs"), command)
    known = [found for job in services.view.jobs.values() if (found := _exported(job, command))]
    largest = max([*known, *([recorded] if recorded else [])], default=None)
    header = len(_line(dataset.columns))
    each = sum(map(len, sample)) / len(sample) if sample else 0.0
    return Estimate(
        rows=rows,
        bytes=round(header + rows * each),
        largest_before=largest,
        needs_confirm=far_larger(rows, largest),
    )


def _exported(job: Job, command: CreateJob) -> int:
    """Rows of a completed export of the same kind, organisation and dataset; else 0."""
    same = (job.operation, job.organisation, job.dataset) == (
        command.operation,
        command.organisation,
        command.dataset,
    )
    return job.applied.rows_applied if same and job.state is State.COMPLETED and job.applied is not None else 0


async def _counted(
    documents: Documents, index: str, query: Mapping[str, Any], columns: Sequence[str]
) -> tuple[int, list[bytes]]:
    """The number of rows, and some of them as lines of the file.

    Raises:
        ApiError: 503, Elasticsearch does not answer, or there is no index.
    """
    rest = {
        "query": query,
        "sort": "_doc",
        "track_total_hits": True,
        "source_includes": list(columns),
        "ignore_unavailable": False,
    }
    found = await documents.search(_WHAT, index, *({**rest, "size": size} for size in _SAMPLES), seconds=_SECONDS)
    if found is None:
        raise unavailable("the dataset has no index yet; start the stack, or python -m runtime.provision")
    hits = found["hits"]
    lines = [_line([_cell(hit["_source"].get(name)) for name in columns]) for hit in hits["hits"]]
    return int(hits["total"]["value"]), lines


async def _largest_recorded(documents: Documents, index: str, command: CreateJob) -> int:
    """Rows of the largest export that the reports have: jobs leave the control table after a time, reports stay."""
    terms = {
        "operation": command.operation,
        "organisation": command.organisation,
        "dataset": command.dataset,
        "state": str(State.COMPLETED),
    }
    body = {
        "query": {"bool": {"filter": [{"term": {name: text}} for name, text in terms.items()]}},
        "size": 0,
        "aggs": {"largest": {"max": {"field": "rows_applied"}}},
    }
    found = await documents.search("reports of jobs are", index, body, seconds=_SECONDS)
    return int((found or {}).get("aggregations", {}).get("largest", {}).get("value") or 0)


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode(errors="replace")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
