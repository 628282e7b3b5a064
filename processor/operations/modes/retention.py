"""The end of before-images: those of jobs that ended long ago, or that the control table does not have any more."""

from __future__ import annotations

from control.jobtable import JobTable
from processor.elastic.bulk import BulkSink, Gate
from processor.elastic.deleting import delete_found
from processor.operations.modes.changes import changes_index
from processor.operations.modes.images import images_index
from processor.operations.modes.rollback.outcomes import undone_index
from schemas.job import ENDED

_JOBS = 1000
"""Jobs looked at in one sweep; the others are for the next."""


async def sweep_images(sink: BulkSink, prefix: str, jobs: JobTable, gate: Gate, ended_before: int) -> int:
    """Delete the images of jobs that ended before this time, in milliseconds since 1970, and what was recorded of their
    changes and rollbacks; answers how many documents there were.

    Raises as `delete_found`.
    """
    newest = max((job.command_offset for job in jobs), default=-1)
    deleted = 0
    for index in (images_index(prefix), changes_index(prefix), undone_index(prefix)):
        for job_id in await _jobs_of(sink, index, gate):
            job = jobs.get(job_id)
            if job is None:
                over = await _order(sink, index, job_id, gate) < newest
            else:
                over = job.state in ENDED and job.ended_at is not None and job.ended_at < ended_before
            if over:
                deleted += await delete_found(sink, index, {"term": {"job_id": job_id}}, gate)
    return deleted


async def _jobs_of(sink: BulkSink, index: str, gate: Gate) -> list[str]:
    """The jobs that an index has documents of."""
    aggs = {"jobs": {"terms": {"field": "job_id", "size": _JOBS}}}
    found = await sink.ask(lambda: sink.client.search(index=index, size=0, aggs=aggs, ignore_unavailable=True), gate)
    buckets = found.body.get("aggregations", {}).get("jobs", {}).get("buckets", [])
    return [bucket["key"] for bucket in buckets]


async def _order(sink: BulkSink, index: str, job_id: str, gate: Gate) -> int:
    """The offset of a command that is in a state of the job, where the control table does not have it.

    It has left the table if the table has gone beyond this one; else its state has not come to this worker yet.
    """
    query = {"term": {"job_id": job_id}}
    client = sink.client
    found = await sink.ask(lambda: client.search(index=index, query=query, size=1), gate)
    return max((int(hit["_source"].get("order", 0)) for hit in found.body["hits"]["hits"]), default=0)
