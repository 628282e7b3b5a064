"""Progress (topic ``progress``, key: job id) and row errors (topic ``dead-letters``, key: job id)."""

from __future__ import annotations

import msgspec

from schemas.bounds import Counter, Partition, RowCount, Timestamp
from schemas.job import LaneTotals, Phase


class LaneProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Cumulative counts of one lane: losing or doubling one of these does no harm."""

    job_id: str
    operation: str
    dataset: str
    organisation: str
    partition: Partition
    phase: Phase = "apply"
    run: Counter = 0
    """The run the totals are of: a retry of row errors, or a round of a rollback, counts anew."""
    at: Timestamp
    totals: LaneTotals
    added: LaneTotals = LaneTotals()
    """What the lane has counted since the record before this one: for rates, and never for totals. If a worker dies,
    the rows that it had counted and not reported are in no record's `added`."""
    parked_blocks: RowCount = 0
    """Blocks that the partition has met and not applied yet, in memory or not."""
    worker: str = ""
    """The process that owns the lane: another one has another name."""
    rows_total: RowCount | None = None
    """Rows of the job's input, as far as they are known; those of its first run only."""


class RowError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row that was not applied. One per row, the first reason found; `job_id` and `row` name it."""

    job_id: str
    row: RowCount
    """From 1, the header not counted."""
    line: RowCount = 0
    """The file's line on which the row begins, from 1; 0: there is no file."""
    column: str | None = None
    value: str | None = None
    """The refused value, cut at 200 characters."""
    reason: str
    columns: list[str] = []
    values: list[str] = []
    """The whole row as it was, in the order of `columns`."""
    guarded: bool = False
    """Some value may have the apostrophe that exports put before a text that a spreadsheet would take for a formula."""
    misfit: bool = False
    """The row could not be read, or has too few or too many values: `values` are not all that the file had."""
    organisation: str = "default"
    at: Timestamp = 0
    corrected: bool = False
    """The row has been applied since, with other values: it is no row error any more."""
