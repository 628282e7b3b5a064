"""The count that ends a rollback: what of a job is still there, and is not known to stay."""

from __future__ import annotations

from typing import Any

from processor.operations import keyed
from processor.operations.modes.found import Documents
from processor.operations.modes.images import images_index
from processor.operations.modes.rollback.outcomes import undone_index
from processor.operations.work import Work

PAGE = 5000


async def left_over(work: Work, documents: Documents) -> tuple[int, int]:
    """How many rows the rollback has neither restored nor recorded as kept or failed, and the highest of their numbers.

    It looks at documents with the job's mark, and at images: a write, or an image, may have come late. A copy with the
    mark that another program has made under an id of its own is not counted. Raises as `BulkSink.ask`.
    """
    job = work.job
    images, undone = images_index(work.prefix), undone_index(work.prefix)
    for index in (work.data_index, images, undone):
        await documents.refresh(work, index)
    found = await _all(work, work.data_index, {"sluice.job_id": job.id}, "sluice.row_number")
    # Behind the end of a page further documents of its last row are left out: that row counts in any case.
    cut = {hit["sort"][0] for hit in found[PAGE - 1 :: PAGE]}
    marked = {row for hit in found if (row := hit["sort"][0]) in cut or keyed.is_key_id(job.organisation, hit["_id"])}
    pending = marked | {hit["sort"][0] for hit in await _all(work, images, {"job_id": job.id}, "row")}
    for hit in await _all(
        work, images, {"job_id": job.id}, "first_row", "entries", source={"includes": ["images.row"]}
    ):
        pending.update(image["row"] for image in hit["_source"]["images"])
    if not pending:
        return 0, 0
    known: set[int] = set()
    for hit in await _all(work, undone, {"job_id": job.id, "run": job.run}, "first_row", source=True):
        known.update(left["row"] for name in ("kept", "failed") for left in hit["_source"][name])
    rows = pending - known
    return len(rows), max(rows, default=0)


async def _all(
    work: Work,
    index: str,
    terms: dict[str, Any],
    order: str,
    having: str = "",
    *,
    source: bool | dict[str, Any] = False,
) -> list[dict[str, Any]]:
    """Documents with these values, one at least of each value of `order`, a number, by which they are sorted; those
    without it, or without the field `having`, are left out."""
    client, found, after = work.sink.client, list[dict[str, Any]](), None
    filters = [{"term": {name: value}} for name, value in terms.items()]
    query = {"bool": {"filter": [*filters, {"exists": {"field": having or order}}]}}
    while True:
        answer = await work.sink.ask(
            lambda: client.search(
                index=index,
                query=query,
                sort=[{order: "asc"}],
                size=PAGE,
                search_after=None if after is None else [after],  # noqa: B023 - it is called at once
                source=source,
                ignore_unavailable=True,
            ),
            work.gate,
        )
        hits = answer.body["hits"]["hits"]
        found += hits
        if len(hits) < PAGE:
            return found
        after = hits[-1]["sort"][0]
