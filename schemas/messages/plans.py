"""Plans (topic ``plans``, key: job id): work for the readers."""

from __future__ import annotations

import msgspec

from schemas.bounds import Counter, JobId, Offset, PartitionCount, RowCount
from schemas.descriptors.modes import Mode
from schemas.job import Input, Source


class _Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    job_id: JobId
    epoch: Counter
    """The job's epoch that the plan belongs to: once the job has another, the plan is void."""
    command_offset: Offset
    partitions: PartitionCount
    """Block b goes to partition b mod this."""
    run: Counter = 0
    """What the plan's blocks and reports carry as their run."""


class ReadFile(_Plan, frozen=True, kw_only=True, omit_defaults=True):
    """Read this file, from the checkpoint on, into blocks."""

    dataset: str
    source: Source
    mode: Mode | None = None
    """The job's: in some modes a file may leave out all fields but those of the key."""
    numbered: bool = False
    """The rows are some of a job's: each has its number in the column ``sluice_row``."""
    ahead_rows: RowCount = 0
    """The first block carries a copy of the rows behind it, up to this row."""
    checkpoint: Input = Input()


class CutExport(_Plan, frozen=True, kw_only=True, omit_defaults=True):
    """Cut this export's date range into slices."""

    dataset: str
    organisation: str
    date_from: str
    date_till: str | None = None
    checkpoint: Input = Input()


class UndoRows(_Plan, frozen=True, kw_only=True, omit_defaults=True):
    """Cut the rows from 1 to `last_row` into blocks to undo."""

    last_row: RowCount
    checkpoint: Input = Input()


Plan = ReadFile | CutExport | UndoRows
