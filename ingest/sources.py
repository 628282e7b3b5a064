"""How each kind of plan becomes blocks."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from elasticsearch import Elasticsearch
from msgspec.structs import replace

from control.creation.quotas import export_problem, rows_problem
from csvfile.columns import Wanted
from csvfile.cutter import Limits, Place, cut
from csvfile.errors import CsvFileError
from csvfile.header import HEAD_BYTES, read_header
from csvfile.layout import layout_of
from csvfile.refused_rows import still_refused
from ingest.block_source import Step, Waiting
from ingest.blocks.files import ChangedError, Checked, Roots, open_source
from ingest.blocks.in_threads import FileThreads
from ingest.blocks.numbered_rows import numbered
from ingest.blocks.rows_ahead import with_rows_ahead
from ingest.errors import SourceError
from ingest.export import source as exports
from ingest.export.counting import BackgroundQueries
from runtime.files.shared_folder import StorageAwayError, passes_by_itself
from schemas.descriptors.datasets import Dataset
from schemas.descriptors.modes import needs_key_only
from schemas.generations import data_indices
from schemas.job import Input, Job, Phase
from schemas.messages.blocks import Block, RowBlock, UndoBlock
from schemas.messages.codec import encode
from schemas.messages.plans import CutExport, Plan, ReadFile, UndoRows
from schemas.policies.quotas import QuotaBook

UNDO_BLOCK_ROWS = 2_500
_GUARD = re.compile(rb"'(?<=\"')")
"""A value that begins with an apostrophe. `re` looks for the apostrophe, which is rare; quotes are everywhere."""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source needs besides its plan."""

    datasets: Mapping[str, Dataset]
    roots: Roots
    limits: Limits
    asking: BackgroundQueries = field(default_factory=lambda: BackgroundQueries(_no_elasticsearch))
    recorded: exports.Recorded = lambda _: None
    """The input of a job as the control table has it."""
    prefix: str = "sluice"
    slice_rows: int = 10_000
    """Rows in a slice of an export, at most."""
    checked: Checked = field(default_factory=Checked)
    encoded: Callable[[Block], bytes] = encode
    """A block as a message: those with rows sealed."""
    organisation: Callable[[str], str] = lambda _: "default"
    """The organisation of a job, by the job's id."""
    quotas: QuotaBook = field(default_factory=QuotaBook)
    threads: FileThreads = field(default_factory=FileThreads)

    def of(self, job: Job) -> SourceContext:
        """This context with the limits that the job began with."""
        its = job.limits
        if its is None:
            return self
        return dataclasses.replace(self, limits=Limits(its.rows, its.bytes), slice_rows=its.slice_rows)


BlockSource = Generator[Step | Waiting | None, None, Input]
"""Blocks in order from a checkpoint on, the same blocks from any checkpoint; returns how far it came at its end.

It yields None when it has worked for a while without completing a block, and WAITING while it waits for an answer.
Raises SourceError. `close` frees its files and connections.
"""


def _no_elasticsearch() -> Elasticsearch:
    raise SourceError("this reader has no Elasticsearch")


def phase_of(plan: Plan) -> Phase:
    """The phase of the job that a plan serves."""
    return "undo" if isinstance(plan, UndoRows) else "apply"


def block_source(plan: Plan, start: Input, context: SourceContext) -> BlockSource:
    """The blocks of a plan, from the checkpoint `start` on.

    Raises:
        StorageAwayError: its file can't be read for now. The blocks that are still to come can be asked for anew, from
            the end of the last one on.
        SourceError: it can't be read.
    """
    try:
        return (yield from _SOURCES[type(plan)](plan, start, context))
    except CsvFileError as error:
        raise SourceError(str(error)) from error
    except (OSError, SourceError) as error:
        cause = error.__cause__ if isinstance(error, SourceError) else error
        if isinstance(cause, OSError) and passes_by_itself(cause):
            raise StorageAwayError(str(error)) from error
        raise


def read_file(plan: ReadFile, start: Input, context: SourceContext) -> BlockSource:
    """The rows of a file."""
    dataset = _dataset(plan, context)
    opened = open_source(plan.source, context.roots, context.checked)
    with opened.file:
        yield from opened.check()
        wanted = Wanted(key_only=needs_key_only(plan.mode), recorded=plan.source.columns)
        layout = layout_of(plan.source.format)
        header = read_header(opened.head(HEAD_BYTES), opened.size <= HEAD_BYTES, dataset, wanted, layout)
        place = Place(start.bytes, start.lines) if start.blocks else header.end
        if place.bytes > opened.size:
            raise SourceError("the file is shorter than what has been read of it: it has changed; upload it again")
        columns, blocks, rows = list(header.columns), start.blocks, start.rows
        limits = context.limits.for_corrections() if plan.numbered else context.limits
        organisation = context.organisation(plan.job_id)
        quotas = context.quotas.of(organisation)
        while True:
            try:
                parts = cut(opened.chunks(place.bytes), place, header.delimiter, limits)
                parts = still_refused(parts, header.match, dataset)
                for found in with_rows_ahead(parts, 0 if blocks else plan.ahead_rows):
                    if found is None:
                        yield None
                        continue
                    part, ahead = found
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
                        guarded=_GUARD.search(part.rows_json) is not None,
                    )
                    if ahead:
                        block = replace(block, ahead=cast(Any, msgspec.Raw(ahead)))
                    if plan.numbered:
                        block = numbered(block, part.rows_json)
                    too_many = rows_problem(rows + part.rows, organisation, quotas)
                    if too_many is not None:
                        raise SourceError(too_many.message)
                    blocks, rows, place = blocks + 1, rows + part.rows, part.end
                    yield Step(block, Input(blocks=blocks, rows=rows, bytes=place.bytes, lines=place.lines))
            except ChangedError:
                yield from opened.recheck(rows)  # and go on behind the last block
            else:
                return Input(blocks=blocks, rows=rows, bytes=opened.size, lines=place.lines)


def undo_rows(plan: UndoRows, start: Input, _context: SourceContext) -> BlockSource:
    """Ranges of rows to take out, from row 1 on."""
    blocks, rows = start.blocks, start.rows
    while rows < plan.last_row:
        first = rows + 1
        rows = min(rows + UNDO_BLOCK_ROWS, plan.last_row)
        block = UndoBlock(job_id=plan.job_id, run=plan.run, block=blocks, first_row=first, last_row=rows)
        blocks += 1
        yield Step(block, Input(blocks=blocks, rows=rows))
    return Input(blocks=blocks, rows=rows)


def cut_export(plan: CutExport, start: Input, context: SourceContext) -> BlockSource:
    """Slices of an export's rows."""
    dataset = _dataset(plan, context)
    if dataset.date_field is None:
        raise SourceError(f"dataset {dataset.name} has no date (sluice.date_field), so it can't be cut by date")
    asking, index, whole = context.asking, data_indices(context.prefix, dataset.name), None
    if start.frozen is None:
        start, whole = yield from exports.begin(plan, asking, context.recorded, index, dataset.date_field)
        problem = export_problem(start.rows_total or 0, plan.organisation, context.quotas.of(plan.organisation))
        if problem is not None:
            raise SourceError(problem.message)
    return (yield from exports.cut(plan, start, asking, dataset.date_field, context.slice_rows, whole))


def _dataset(plan: ReadFile | CutExport, context: SourceContext) -> Dataset:
    dataset = context.datasets.get(plan.dataset)
    if dataset is None:
        raise SourceError(f"the dataset {plan.dataset!r} is not known here; known: {', '.join(context.datasets)}")
    return dataset


_SOURCES: dict[type, Callable[[Any, Input, SourceContext], BlockSource]] = {
    ReadFile: read_file,
    UndoRows: undo_rows,
    CutExport: cut_export,
}
