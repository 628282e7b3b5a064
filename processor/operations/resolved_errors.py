"""The end of row errors: rows that were sent again, corrected, and that are applied now."""

from __future__ import annotations

from collections.abc import Sequence

from processor.elastic.documents import bulk_item
from processor.operations.work import Result, Work
from schemas.indices import index_name
from schemas.messages.blocks import Block, RowBlock
from schemas.messages.progress import RowError


async def end_errors(work: Work, blocks: Sequence[Block], result: Result) -> list[RowError]:
    """Take the applied rows of a retry out of the index of row errors; answers a record that says so for each.

    To be called after the operation has applied them: a crash in between has both done again. Raises as `Work.send`.
    """
    failed = {error.row for error in result.errors}
    rows = [number for block in blocks if isinstance(block, RowBlock) for number in block.row_numbers]
    applied = [row for row in rows if row not in failed]
    index = index_name(work.prefix, "errors")
    await work.send([bulk_item("delete", index, f"{work.job.id}:{row}") for row in applied], excused=404)
    return [
        RowError(
            job_id=work.job.id,
            row=row,
            reason="corrected",
            organisation=work.job.organisation,
            at=work.at,
            corrected=True,
        )
        for row in applied
    ]
