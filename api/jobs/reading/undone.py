"""What a rollback has done with each row, and whether it can give back everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final, Literal

from api.errors import ApiError, require_kept
from api.jobs.reading.row_errors import csv_lines
from api.models.reports import UndonePage, UndoneRow
from api.readmodel.totals import applied_totals, undone_totals
from api.web.services import Services
from schemas.indices import index_name
from schemas.job import Job, State

Bucket = Literal["restored", "kept", "failed"]
BUCKETS: Final[tuple[Bucket, ...]] = ("restored", "kept", "failed")
_BLOCKS: Final = (5, 50)
"""Blocks of a rollback in the first request to Elasticsearch, and in any: one has up to `SLUICE_BLOCK_ROWS` rows."""


async def undone_page(
    services: Services, job: Job, buckets: tuple[Bucket, ...], limit: int, after: int | None
) -> UndonePage:
    """What became of rows above `after`, by row: `limit` of them in these buckets.

    Raises:
        ApiError: 404, the job was never rolled back, keeps no such list, or it was removed; 503, Elasticsearch does
            not answer.
    """
    _require_list(job)
    rows: list[UndoneRow] = []
    async for some in _rows(services, job, buckets, after or 0):
        rows += some
        if len(rows) > limit:
            break
    totals = undone_totals(job, services.view.lanes(job.id))
    return UndonePage(
        job_id=job.id,
        restored=totals.rows_restored,
        kept=totals.rows_kept,
        failed=totals.rows_not_restored,
        rows=rows[:limit],
        next=rows[limit - 1].row if len(rows) > limit else None,
    )


async def undone_csv(services: Services, job: Job, buckets: tuple[Bucket, ...]) -> AsyncIterator[bytes]:
    """The same as CSV, all of it. Raises as `undone_page`."""
    _require_list(job)
    lines = [["sluice_row", "outcome", "document", "reason", "job"]]
    async for rows in _rows(services, job, buckets, 0):  # the header goes out once the first rows are known
        lines += [[str(it.row), it.outcome, it.document or "", it.reason or "", it.job_id or ""] for it in rows]
        yield csv_lines(lines)
        lines = []


async def partial_problem(services: Services, job: Job) -> str | None:
    """Why a rollback of this job could give back only a part of what it wrote over; None: all of it, or that is not
    known while Elasticsearch does not answer."""
    # A rollback that has failed has been asked for in spite of it, and the images of a job that has not ended stay.
    if not job.restores or job.options.dry_run or (job.phase == "undo" and job.state is State.FAILED):
        return None
    applied, undone = applied_totals(job, services.view.lanes(job.id)), undone_totals(job, services.view.lanes(job.id))
    wrote = applied.rows_created + applied.rows_updated + applied.rows_deleted - undone.rows_restored
    index = index_name(services.settings.prefix, "images")
    body = {
        "query": {"term": {"job_id": job.id}},
        "size": 0,
        "aggs": {"alone": {"value_count": {"field": "row"}}, "grouped": {"sum": {"field": "entries"}}},
    }
    try:
        found = await services.documents.search("before-images are", index, body, fresh=True)
    except ApiError:
        return None
    sums = (found or {}).get("aggregations", {})
    kept = sum(int(sums.get(name, {}).get("value") or 0) for name in ("alone", "grouped"))
    if kept >= wrote:
        return None
    return (
        f"of the {wrote:,} documents that job {job.id} has written, {wrote - kept:,} have no before-image any more: "
        f"these are kept for a time only (SLUICE_IMAGE_RETENTION_DAYS). A rollback would give back the other {kept:,}"
    )


async def _rows(
    services: Services, job: Job, buckets: tuple[Bucket, ...], after: int
) -> AsyncIterator[list[UndoneRow]]:
    """The rows above `after`, some at a time."""
    index = index_name(services.settings.prefix, "undone")
    body = {
        "query": {"bool": {"filter": [{"term": {"job_id": job.id}}, {"range": {"last_row": {"gt": after}}}]}},
        "sort": [{"first_row": "asc"}, {"run": "asc"}],
    }
    first, most = _BLOCKS
    waiting: dict[int, UndoneRow] = {}
    blocks = services.documents.pages("what a rollback did is", index, body, first=first, most=most, fresh=True)
    async with aclosing(blocks) as pages:
        async for hits, _ in pages:
            for hit in hits:
                begins = int(hit["sort"][0])
                # Later rounds of a rollback have the same ranges: a range is complete when the next one begins.
                ready = [number for number in waiting if number < begins]
                yield [waiting.pop(number) for number in sorted(ready)]
                _take(waiting, hit["_source"], job.run, buckets, after)
    yield [waiting[number] for number in sorted(waiting)]


def _take(
    waiting: dict[int, UndoneRow], block: dict[str, Any], run: int, buckets: tuple[Bucket, ...], after: int
) -> None:
    if "restored" in buckets:
        for first, last in block["restored"]:
            for row in range(max(first, after + 1), last + 1):
                waiting[row] = UndoneRow(row=row, outcome="restored", document=None, reason=None, job_id=None)
    if block["run"] != run:
        return  # what could not be restored is judged anew in each round
    for bucket in (name for name in BUCKETS if name != "restored" and name in buckets):
        for left in block[bucket]:
            if left["row"] > after:
                waiting[left["row"]] = UndoneRow(
                    row=left["row"],
                    outcome=bucket,
                    document=left["document"],
                    reason=left["reason"],
                    job_id=left.get("job"),
                )


def _require_list(job: Job) -> None:
    if job.mode is None:
        raise ApiError(404, f"job {job.id} keeps no such list: its rollback takes out all of its own rows")
    if job.phase != "undo":
        raise ApiError(
            404, f"job {job.id} was not rolled back, so there is no list of what was undone", {"state": job.state}
        )
    require_kept(job, "undone")
