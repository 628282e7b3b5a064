"""Documents of jobs that are in the control table no more: orphans. A worker finds them job by job, since a table of a
hundred thousand jobs fits into no query.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from control.jobtable import JobTable
from processor.elastic.bulk import BulkSink, Gate
from processor.elastic.deleting import delete_found
from processor.elastic.reading import search
from schemas.job import Job

JOBS: Final = 1000
"""Jobs that one search tells of, and that one deletion names."""


async def delete_orphans(
    sink: BulkSink,
    index: str,
    jobs: JobTable,
    gate: Gate,
    before: int | None = None,
    expired: Callable[[Job], bool] = lambda job: False,
) -> int:
    """Delete the documents that an index has of jobs that have left the control table; answers how many.

    `before`: only those made before this time, in milliseconds since 1970, which is so long ago that the states of
    their jobs have come to this worker; None: all of a job, once the table proves that the job has left it. `expired`:
    a job in the table whose documents go as well. Each job is looked up again right before each deletion. Raises as
    `delete_found`.
    """
    old = [] if before is None else [{"range": {"at": {"lt": before, "format": "epoch_millis"}}}]

    def over(job_id: str) -> bool:
        job = jobs.get(job_id)
        return job is None or expired(job)

    deleted = 0
    async for page in _jobs_of(sink, index, old, gate):
        found = [job_id for job_id in page if over(job_id)]
        if before is None:
            found = [job_id for job_id in found if job_id in jobs or await _has_left(sink, index, job_id, jobs, gate)]
        while found := [job_id for job_id in found if over(job_id)]:
            query = {"bool": {"filter": [{"terms": {"job_id": found}}, *old]}}
            count = await delete_found(sink, index, query, gate, most_pages=1)
            if not count:
                break
            deleted += count
    return deleted


async def _jobs_of(sink: BulkSink, index: str, filters: list[dict[str, Any]], gate: Gate) -> AsyncIterator[list[str]]:
    """The jobs that an index has documents of, `JOBS` at a time; an index that is not there has none."""
    client, after = sink.client, dict[str, Any]()
    await sink.ask(lambda: client.indices.refresh(index=index, ignore_unavailable=True), gate)
    while True:
        by_job = {"size": JOBS, "sources": [{"job": {"terms": {"field": "job_id"}}}], **after}
        query, by = {"bool": {"filter": filters}}, {"jobs": {"composite": by_job}}
        answer = await search(sink, gate, index, query=query, size=0, aggs=by, track_total_hits=False)
        page = answer.get("aggregations", {}).get("jobs", {})
        yield [bucket["key"]["job"] for bucket in page.get("buckets", [])]
        if "after_key" not in page:
            return
        after = {"after": page["after_key"]}


async def _has_left(sink: BulkSink, index: str, job_id: str, jobs: JobTable, gate: Gate) -> bool:
    """Whether a job that the table does not have was in it: its state may not have come to this worker yet.

    `order` in a document is the offset of a command that a state of the job names. States come in the order of their
    commands: if the table is beyond that one, the job was in it. Where documents have no `order`, it is taken for gone.
    """
    query = {"term": {"job_id": job_id}}
    found = await search(sink, gate, index, query=query, size=1)
    orders = [hit["_source"].get("order") for hit in found["hits"]["hits"]]
    return all(order is None or int(order) < jobs.newest_offset for order in orders)
