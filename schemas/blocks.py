"""Blocks (topic ``rows``, no key: block b of a job lies on partition b mod P): the unit of work."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class _Block(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    job_id: str
    block: int
    """Number of the block within its job and phase, from 0."""
    first_row: int
    """Number of its first row; rows count from 1, the header not counted."""
    run: int = 0
    """0: rows to apply; 1, 2, ...: that round of a rollback."""


class RowBlock(_Block, frozen=True, kw_only=True, omit_defaults=True, tag="rows"):
    """Rows to apply, consecutive ones unless `numbers` says otherwise.

    A row may have too few or too many values: the worker tells its sender so.
    """

    columns: list[str]
    rows: list[list[str]]
    """Values as text, in the order of `columns`."""
    numbers: list[int] | None = None
    """Row number of each row, where they are not consecutive."""
    first_line: int = 0
    """Line of the file on which the first row begins, from 1."""
    lines: list[int] | None = None
    """Line of each row, where rows span lines; None: each row is one line."""
    unreadable: dict[int, str] = {}
    """Index in `rows` -> why that row could not be read from the file."""
    guarded: bool = False
    """Some value may carry the apostrophe that exports put before what a spreadsheet would take for a formula."""

    @property
    def last_row(self) -> int:
        """The highest of its row numbers."""
        return max(self.numbers) if self.numbers else self.first_row + len(self.rows) - 1

    @property
    def row_numbers(self) -> Sequence[int]:
        """Row number of each row."""
        return self.numbers if self.numbers is not None else range(self.first_row, self.first_row + len(self.rows))

    def line_of(self, index: int) -> int:
        """The file's line on which the row at `index` begins."""
        return self.lines[index] if self.lines else self.first_line + index


class UndoBlock(_Block, frozen=True, kw_only=True, omit_defaults=True, tag="undo"):
    """A range of rows to take out."""

    last_row: int


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stretch of a dataset's rows in the order of (date, job, row number). All bounds are included."""

    since: int
    """Date of the first rows, milliseconds since 1970."""
    till: int
    jobs: tuple[str, str] | None = None
    """Where more rows than a slice takes have one date: the first and the last job whose rows these are."""
    rows: tuple[int, int] | None = None
    """Where more than a slice takes are of one job as well: their first and last row number in that job."""


class SliceBlock(_Block, frozen=True, kw_only=True, omit_defaults=True, tag="slice"):
    """A slice of an export: its rows, in date order, become one part of the file."""

    last_row: int
    frozen: str
    """The point in time of Elasticsearch that the slice was counted in, and is to be read in."""
    span: Span


Block = RowBlock | UndoBlock | SliceBlock


class BlockHead(msgspec.Struct, frozen=True, kw_only=True):
    """What the dispatcher needs of a block; the rest is skipped unread."""

    kind: str
    job_id: str
    block: int
    first_row: int
    run: int = 0
