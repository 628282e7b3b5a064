"""The count that ends a rollback: what of a job is still there, and is not known to stay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from processor.elastic.reading import Hit, find_all
from processor.operations.modes.found import Documents
from processor.operations.modes.images import images_index
from processor.operations.modes.rollback.outcomes import read_undone, undone_index
from processor.operations.remaining_rows import own_documents
from processor.operations.work import Work


class _Imaged(msgspec.Struct, frozen=True):
    row: int


class _Rows(msgspec.Struct, frozen=True):
    images: list[_Imaged]


_rows = msgspec.json.Decoder(_Rows).decode


async def left_over(work: Work, documents: Documents) -> tuple[int, int]:
    """How many rows the rollback has neither restored nor recorded as kept or failed, and the highest of their numbers.

    It looks at documents with the job's mark, and at images: a write, or an image, may have come late. A copy with the
    mark that another program has made under an id of its own is not counted. Raises as `BulkSink.ask`.
    """
    job = work.job
    images, undone = images_index(work.prefix), undone_index(work.prefix)
    for index in (work.data_index, images, undone):
        await documents.refresh(work, index)
    pending: set[int] = set()
    async for some in own_documents(work, work.data_index, job.organisation):
        pending.update(row for row, _ in some)
    async for hits in _all(work, images, "row", {"term": {"job_id": job.id}}):
        pending.update(int(hit.sort[0]) for hit in hits)
    groups = {"term": {"job_id": job.id}}, {"exists": {"field": "entries"}}
    async for hits in _all(work, images, "first_row", *groups, source={"includes": ["images.row"]}):
        pending.update(image.row for hit in hits for image in _rows(hit.source).images)
    if not pending:
        return 0, 0
    this_round = {"term": {"job_id": job.id}}, {"term": {"run": job.run}}
    async for hits in _all(work, undone, "first_row", *this_round, source=True):
        for known in (read_undone(hit.source) for hit in hits):
            pending.difference_update(left.row for left in (*known.kept, *known.failed))
    return len(pending), max(pending, default=0)


def _all(
    work: Work, index: str, number: str, *filters: dict[str, Any], source: bool | dict[str, Any] = False
) -> AsyncIterator[list[Hit]]:
    return find_all(work.sink, work.gate, index, filters, number, source=source)
