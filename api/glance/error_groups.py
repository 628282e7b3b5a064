"""Row errors of a job by column and reason, from the index ``errors``: one search, whose work is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from api.elastic.documents import Documents
from api.errors import require_kept
from api.glance.models import ErrorGroup, ErrorGroups, FirstRow
from api.jobs.reading.job_view import progress
from api.jobs.reading.row_pages import WHAT
from api.web.services import Services
from schemas.indices import index_name
from schemas.job import Job

MOST_GROUPS: Final = 100
_MOST_COLUMNS: Final = 20
"""A reason nearly always names its column; one of an operation of your own may come with several."""
_FIRST_ROWS: Final = ((5, True), (1, True), (1, False))
"""Rows of a group that are shown, and whether with the value that is wrong: fewer where they are long."""
TOO_LONG: Final = "(reasons that are too long to be compared)"
"""Stands for reasons beyond the mapping's `ignore_above`, which Elasticsearch keeps and does not index."""
_NONE: Final = ""


async def groups_of(services: Services, job: Job, most: int = MOST_GROUPS) -> ErrorGroups:
    """The groups of a job's row errors. Raises as `error_groups`, and RemovedError."""
    require_kept(job, "row_errors")
    done = progress(job, services.view.lanes(job.id), None)
    index = index_name(services.settings.prefix, "errors")
    return await error_groups(services.documents, index, job.id, done.rows_applied + done.rows_failed, most)


async def error_groups(
    documents: Documents, index: str, job_id: str, rows_done: int, most: int = MOST_GROUPS
) -> ErrorGroups:
    """The groups, at most `most`; `rows_done`: rows that the job has dealt with.

    Raises:
        ApiError: 503, Elasticsearch does not answer.
    """
    rest = {"query": {"term": {"job_id": job_id}}, "size": 0, "track_total_hits": True}
    bodies = [{**rest, "aggs": _aggregations(most, rows, values)} for rows, values in _FIRST_ROWS]
    answer = await documents.search(WHAT, index, *bodies, fresh=True)
    if answer is None or "aggregations" not in answer:
        return ErrorGroups(job_id=job_id, total=0, rows_done=rows_done, groups=[], others=0)
    total, reasons = int(answer["hits"]["total"]["value"]), answer["aggregations"]["reasons"]
    # A row that is applied between the two looks at the numbers counts as dealt with a moment later.
    rows_done = max(rows_done, total)
    found = sorted(_groups(reasons["buckets"], rows_done), key=lambda group: (-group.rows, group.like))[:most]
    others = total - sum(group.rows for group in found)
    return ErrorGroups(job_id=job_id, total=total, rows_done=rows_done, groups=found, others=others)


def _aggregations(most: int, rows: int, values: bool) -> dict[str, Any]:
    shown = ["row", "line", "reason", *(["value"] if values else [])]
    first = {"top_hits": {"size": rows, "sort": [{"row": "asc"}], "_source": shown}}
    columns = {"terms": {"field": "column", "size": _MOST_COLUMNS, "missing": _NONE}, "aggs": {"first": first}}
    # Breadth first: the rows of a group are looked up for the groups that are shown, not for all there are.
    reasons = {"field": "reason", "size": most, "missing": _NONE, "collect_mode": "breadth_first"}
    return {"reasons": {"terms": reasons, "aggs": {"columns": columns}}}


def _groups(buckets: list[dict[str, Any]], rows_done: int) -> Iterator[ErrorGroup]:
    for reason in buckets:
        for column in reason["columns"]["buckets"]:
            rows = [hit["_source"] for hit in column["first"]["hits"]["hits"]]
            count = int(column["doc_count"])
            yield ErrorGroup(
                column=column["key"] or None,
                reason=str(reason["key"]) or (str(rows[0]["reason"]) if count == 1 else TOO_LONG),
                rows=count,
                share=round(count / rows_done, 6) if rows_done else 0.0,
                like=int(rows[0]["row"]),
                first=[
                    FirstRow(row=int(row["row"]), line=int(row.get("line") or 0), value=row.get("value"))
                    for row in rows
                ],
            )
