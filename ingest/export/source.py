"""An export's plan: freeze the dataset, count its rows, cut them into slices."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from ingest.block_source import WAITING, Step, Waiting
from ingest.errors import SourceError
from ingest.export.counting import BackgroundQueries, Counting, freeze, release
from ingest.export.slicing import Slice, slices
from schemas.job import Input
from schemas.messages.blocks import SliceBlock, Span
from schemas.messages.plans import CutExport

Recorded = Callable[[str], Input | None]
"""The input of a job as the control table has it; None: the table does not know the job."""
Whole = tuple[Span, int]
"""The span of all rows of an export, and how many there are."""


def begin(
    plan: CutExport, asking: BackgroundQueries, recorded: Recorded, index: str, date_field: str
) -> Generator[Step | Waiting, None, tuple[Input, Whole | None]]:
    """Freeze the dataset and count its rows; yields the input with both, to be reported.

    Returns the input that the control table has, and the count where it is one of that point in time. No slice may be
    published before the table has it: a reader may die right after it has frozen the dataset, and its successor freezes
    it again. The table keeps the first of the two, and slices are cut in that only.
    """
    frozen = yield from asking.answer_to(partial(freeze, index=index))
    counting = Counting(frozen, date_field, plan.organisation)
    whole = yield from asking.answer_to(partial(counting.whole, first_day=plan.date_from, last_day=plan.date_till))
    yield Step(None, Input(frozen=frozen, rows_total=whole[1]))
    while (known := recorded(plan.job_id)) is None or known.frozen is None:
        yield WAITING
    if known.frozen == frozen:
        return known, whole
    asking.forget(partial(release, frozen=frozen))
    return known, None


def cut(
    plan: CutExport,
    start: Input,
    asking: BackgroundQueries,
    date_field: str,
    most: int,
    whole: Whole | None = None,
) -> Generator[Step | Waiting, None, Input]:
    """The slices, each with at most `most` rows; those before the checkpoint are counted again and passed over.

    `whole` has the count of all rows where it is known.
    """
    assert start.frozen is not None, "the dataset is frozen before it is cut"
    counting = Counting(start.frozen, date_field, plan.organisation)
    if whole is None:
        whole = yield from asking.answer_to(partial(counting.whole, first_day=plan.date_from, last_day=plan.date_till))
    span, total = whole
    blocks = rows = 0
    cutting = slices(span, total, most)
    answer: Any = None
    try:
        while True:
            found = cutting.send(answer)
            answer = None
            if not isinstance(found, Slice):
                answer = yield from asking.answer_to(partial(counting.answer, question=found))
                continue
            first, rows = rows + 1, rows + found.rows
            blocks += 1
            if blocks == start.blocks and rows != start.rows:
                raise SourceError("its slices were cut with another SLUICE_SLICE_ROWS: set it as it was, and resume")
            if blocks > start.blocks:
                block = SliceBlock(
                    job_id=plan.job_id,
                    run=plan.run,
                    block=blocks - 1,
                    first_row=first,
                    last_row=rows,
                    frozen=start.frozen,
                    span=found.span,
                )
                yield Step(block, Input(blocks=blocks, rows=rows, frozen=start.frozen, rows_total=total))
    except StopIteration:
        pass
    if rows != total:
        raise SourceError(f"of {total} rows only {rows} can be put in order: some have no sluice.job_id or row_number")
    return Input(blocks=blocks, rows=rows, frozen=start.frozen, rows_total=total)
