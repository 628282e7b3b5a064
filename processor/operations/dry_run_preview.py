"""What a dry run shows of its rows: the first good ones, as they would be stored."""

from __future__ import annotations

from collections.abc import Container

import msgspec

from processor.elastic.documents import bulk_item, document_lines
from processor.operations.work import Work
from processor.validation.rows import CheckedRows
from schemas.indices import index_name
from schemas.job import Job
from schemas.messages.blocks import Block

SHOWN_ROWS = 20
WITHIN_ROWS = 10_000
"""The preview looks for good rows only in blocks that begin within this many rows."""


def preview_items(work: Work, block: Block, rows: CheckedRows, refused: Container[int]) -> list[bytes]:
    """Bulk items for the first good rows of a block, under fixed ids, so that a repeat records each once.

    `refused` are numbers of rows that passed their checks and can't be stored all the same.
    No worker knows how many good rows the blocks before have: each block records its own, and the API shows the first.
    """
    if block.first_row > WITHIN_ROWS:
        return []
    job, index = work.job, index_name(work.prefix, "previews")
    good = [pair for pair in zip(rows.numbers, rows.values, strict=True) if pair[0] not in refused][:SHOWN_ROWS]
    numbers, stored = [number for number, _ in good], list(zip(*(row for _, row in good), strict=True))
    lines = document_lines(job.id, job.organisation, rows.columns, numbers, stored)
    return [
        preview_item(job, index, number, line.split(b"\n", 1)[1]) for number, line in zip(numbers, lines, strict=True)
    ]


def preview_item(job: Job, index: str, row: int, document: bytes) -> bytes:
    """The bulk item of one row; `document` is a JSON object.

    `order` tells a worker that clears previews away that the job may be newer than its own control table.
    """
    shown = {"job_id": job.id, "order": job.command_offset, "row": row, "document": msgspec.Raw(document)}
    return bulk_item("index", index, f"{job.id}:{row}", shown)
