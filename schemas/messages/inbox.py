"""Rows that upstream services produce (topic ``inbox``), and which of them are in blocks (``inbox-state``)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.bounds import InboxRowNumber, RowCount, require_intervals

MOST_LIST = 1000
"""Rows in one record, at most."""

Value = str | int | float | bool | None
"""A value. Other types than text become the text that a CSV file would have: ``3``, ``true``; null is an empty text."""


class InboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row from an upstream service, or some consecutive ones (topic ``inbox``, key: job id)."""

    job_id: str
    row: InboxRowNumber
    """Number of the (first) row. A job's rows count from 1, without gaps at its end; the number is the row's identity:
    one that is sent again is not counted again."""
    values: dict[str, Value] | Annotated[list[dict[str, Value]], msgspec.Meta(min_length=1, max_length=MOST_LIST)]
    """Column -> value; or a list of these, for the rows from `row` on."""


class InboxRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which of a job's rows are in blocks (topic ``inbox-state``, key: job id).

    It is written in the transaction that writes the blocks and commits the offsets of the inbox, to the same partition
    as that of the inbox: the reader that is assigned this partition goes on from here.
    """

    job_id: str
    blocks: RowCount = 0
    """Blocks published; also the number of the next one."""
    rows: tuple[tuple[RowCount, RowCount], ...] = ()
    """Rows in these blocks, as intervals (first, last)."""

    def __post_init__(self) -> None:
        require_intervals("rows", self.rows)
