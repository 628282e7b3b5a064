"""What kinds of plans there are, and how each becomes blocks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from ingest.cutter import Limits, Place, cut
from ingest.errors import SourceError
from ingest.files import Roots, open_source
from ingest.header import HEAD_BYTES, read_header
from ingest.numbering import numbered
from schemas.blocks import Block, RowBlock, UndoBlock
from schemas.datasets import Dataset
from schemas.job import Input, Phase
from schemas.plans import CutExport, Plan, ReadFile, UndoRows

UNDO_BLOCK_ROWS = 2_500


@dataclass(frozen=True, slots=True)
class Step:
    """One block, and how far the source has been read with it."""

    block: Block
    after: Input


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a source may use besides its plan."""

    datasets: Mapping[str, Dataset]
    roots: Roots
    limits: Limits


BlockSource = Generator[Step | None, None, Input]
"""Blocks in order from a checkpoint on, the same blocks from any checkpoint; returns how far it came at its end.

It yields None when it worked for a while without a block coming of it. Raises SourceError. `close` frees what it holds.
"""


def phase_of(plan: Plan) -> Phase:
    """The phase of the job that a plan serves."""
    return "undo" if isinstance(plan, UndoRows) else "apply"


def block_source(plan: Plan, start: Input, surroundings: Surroundings) -> BlockSource:
    """The blocks of a plan, from the checkpoint `start` on."""
    return _SOURCES[type(plan)](plan, start, surroundings)


def read_file(plan: ReadFile, start: Input, surroundings: Surroundings) -> BlockSource:
    """The rows of a file."""
    dataset = surroundings.datasets.get(plan.dataset)
    if dataset is None:
        raise SourceError(f"the dataset {plan.dataset!r} is not known here; known: {', '.join(surroundings.datasets)}")
    opened = open_source(plan.source, surroundings.roots)
    with opened.file:
        header = read_header(opened.head(HEAD_BYTES), opened.size <= HEAD_BYTES, dataset)
        place = Place(start.bytes, start.lines) if start.blocks else header.end
        if place.bytes > opened.size:
            raise SourceError("the file is shorter than what has been read of it: it has changed; upload it again")
        columns, blocks, rows = list(header.columns), start.blocks, start.rows
        for part in cut(opened.chunks(place.bytes), place, header.delimiter, surroundings.limits):
            if part is None:
                yield None
                continue
            block = RowBlock(
                job_id=plan.job_id,
                run=plan.run,
                block=blocks,
                first_row=rows + 1,
                columns=columns,
                # encoded already: see rows.plain_rows
                rows=cast(Any, msgspec.Raw(part.rows_json)),
                first_line=part.first_line,
                lines=part.lines,
                unreadable=part.unreadable,
            )
            if plan.numbered:
                block = numbered(block, part.rows_json)
            blocks, rows, place = blocks + 1, rows + part.rows, part.end
            yield Step(block, Input(blocks=blocks, rows=rows, bytes=place.bytes, lines=place.lines))
        return Input(blocks=blocks, rows=rows, bytes=opened.size, lines=place.lines)


def undo_rows(plan: UndoRows, start: Input, _surroundings: Surroundings) -> BlockSource:
    """Ranges of rows to take out, from row 1 on."""
    blocks, rows = start.blocks, start.rows
    while rows < plan.last_row:
        first = rows + 1
        rows = min(rows + UNDO_BLOCK_ROWS, plan.last_row)
        block = UndoBlock(job_id=plan.job_id, run=plan.run, block=blocks, first_row=first, last_row=rows)
        blocks += 1
        yield Step(block, Input(blocks=blocks, rows=rows))
    return Input(blocks=blocks, rows=rows)


def cut_export(_plan: CutExport, _start: Input, _surroundings: Surroundings) -> BlockSource:
    """Slices of an export's query."""
    raise SourceError("exports are not available in this version")
    yield


_SOURCES: dict[type, Callable[[Any, Input, Surroundings], BlockSource]] = {
    ReadFile: read_file,
    UndoRows: undo_rows,
    CutExport: cut_export,
}
