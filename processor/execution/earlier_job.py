"""Whether a job's id is free: an earlier job, forgotten by the control table, may have had it and left something."""

from __future__ import annotations

from processor.errors import CannotGoOnError
from processor.execution.searching import Searches
from processor.operations.base import Operation
from processor.operations.modes.changes import changes_index
from processor.operations.modes.images import images_index
from processor.operations.modes.rollback.outcomes import undone_index
from processor.operations.work import Work


async def require_free_id(operation: Operation, work: Work, searches: Searches) -> None:
    """Nothing may be an earlier job's of the same id: an export has no file, any other job nothing in Elasticsearch.
    To be asked before the job writes anything.

    Raises:
        CannotGoOnError: an earlier job had this id and has left something, or it can't be known.
        PutOffError: Elasticsearch can't answer now.
        FencedError: from the gate.
    """
    found = await (_made(operation, work) if operation.kind.makes_file else _written(work, searches))
    if found:
        raise CannotGoOnError(
            f"an earlier job, which Sluice has forgotten since, had the id {work.job.id} too, and has left {found}: "
            f"nothing was written. Make the job again under another id or, over REST, with another Idempotency-Key"
        )


async def _made(operation: Operation, work: Work) -> str:
    left, _ = await operation.left_over(work)
    return "its file, or parts of it" if left else ""


async def _written(work: Work, searches: Searches) -> str:
    """What Elasticsearch has of a job with this id; empty: nothing."""
    job = work.job
    left = {work.index("errors"): "row errors"}
    if job.options.dry_run:
        left |= {work.index("previews"): "first rows", changes_index(work.prefix): "changes"}
    else:
        left |= {
            work.data_index: "rows",
            images_index(work.prefix): "images of documents",
            undone_index(work.prefix): "notes of its rollback",
        }
    marked = [{"term": {field: job.id}} for field in ("sluice.job_id", "job_id")]
    query = {"bool": {"filter": [{"bool": {"should": marked}}]}}
    by_index = {"indices": {"terms": {"field": "_index"}}}
    asked = {"query": query, "size": 0, "aggs": by_index}
    (answer,) = await searches.search(",".join(left), [{}, asked], work.gate)
    buckets = answer.get("aggregations", {}).get("indices", {}).get("buckets", [])
    return ", ".join(f"{bucket['doc_count']:,} {left.get(bucket['key'], 'documents')}" for bucket in buckets)
