"""Whether a job's id is free: an earlier job, forgotten by the control table, may have had it and left something."""

from __future__ import annotations

from processor.elastic.reading import search
from processor.errors import CannotGoOnError
from processor.operations.modes.images import images_index
from processor.operations.modes.rollback.outcomes import undone_index
from processor.operations.work import Work


async def require_free_id(work: Work) -> None:
    """Nothing in Elasticsearch may be an earlier job's of the same id. To be asked before the job writes anything.

    Raises:
        CannotGoOnError: an earlier job had this id and has left something, or Elasticsearch refuses to tell.
        FencedError: from the gate.
    """
    job = work.job
    left = {
        work.data_index: "rows",
        work.index("errors"): "row errors",
        images_index(work.prefix): "images of documents",
        undone_index(work.prefix): "notes of its rollback",
    }
    marked = [{"term": {field: job.id}} for field in ("sluice.job_id", "job_id")]
    query = {"bool": {"filter": [{"bool": {"should": marked}}]}}
    by_index = {"indices": {"terms": {"field": "_index"}}}
    answer = await search(work.sink, work.gate, ",".join(left), query=query, size=0, aggs=by_index)
    buckets = answer.get("aggregations", {}).get("indices", {}).get("buckets", [])
    if buckets:
        found = ", ".join(f"{bucket['doc_count']:,} {left.get(bucket['key'], 'documents')}" for bucket in buckets)
        raise CannotGoOnError(
            f"an earlier job, which Sluice has forgotten since, had the id {job.id} too, and has left {found}: nothing "
            f"was written. Make the job again under another id or, over REST, with another Idempotency-Key"
        )
