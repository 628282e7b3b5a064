"""Blocks (topic ``rows``, no key: block b of a job lies on partition b mod P): the unit of work."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import force_setattr

from schemas.bounds import BlockNumber, Counter, JobId, Moment, RowCount, RowIndex
from schemas.messages.packed_rows import read_rows

PASSED_OVER = ""
"""What stands in the place of a field's name for a column that is passed over."""


ABSENT = "\0"
"""The text of a field that a row of the inbox does not have, in the modes in which the document then keeps its value.
A row of the inbox with it as a value is refused; in a file it is a value like any other."""


class _Block(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    job_id: JobId
    block: BlockNumber
    """Number of the block within its run, from 0."""
    first_row: RowCount
    """Number of its first row; rows count from 1, the header not counted."""
    run: Counter = 0
    """0: the first pass over the job's rows. Each retry, and each round of a rollback, is the next one."""


def _require_order(first: int, last: int) -> None:
    if first > last:
        raise ValueError(f"the first row, {first}, comes after the last one, {last}")


class RowBlock(_Block, frozen=True, kw_only=True, omit_defaults=True, tag="rows"):
    """Rows to apply, consecutive ones unless `numbers` says otherwise.

    A row may have too few or too many values: it becomes a row error.
    """

    columns: list[str]
    """The field of each value, `PASSED_OVER` for those that are nobody's."""
    rows: list[list[str]]
    """Values as text, in the order of `columns`."""
    numbers: list[RowCount] | None = None
    """Row number of each row, where they are not consecutive."""
    first_line: RowCount = 0
    """Line of the file on which the first row begins, from 1."""
    lines: list[RowCount] | None = None
    """Line of each row, where rows span lines; None: each row is one line."""
    unreadable: dict[RowIndex, str] = {}
    """Index in `rows` -> why that row could not be read from the file."""
    guarded: bool = False
    """Some value may carry the apostrophe that exports put before what a spreadsheet would take for a formula."""

    ahead: list[list[str]] = []
    """In the first block of a job that is inspected: a copy of the rows behind it."""

    def __post_init__(self) -> None:
        if isinstance(self.rows, msgspec.Raw):
            return  # a reader has encoded them already: see `plain_rows` in csvfile/rows.py
        rows = len(self.rows)
        if self.numbers is not None and len(self.numbers) != rows:
            raise ValueError(f"there are {rows} rows and {len(self.numbers)} row numbers")
        if self.lines is not None and len(self.lines) != rows:
            raise ValueError(f"there are {rows} rows and {len(self.lines)} lines")

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


class PackedBlock(RowBlock, frozen=True, kw_only=True, omit_defaults=True, tag="rows"):
    """A `RowBlock` as it is decoded where its rows are surely a reader's: they stay JSON until they are asked for."""

    rows: msgspec.Raw  # type: ignore[assignment]  # for the decoder; it is as in a RowBlock from then on

    def __post_init__(self) -> None:
        if isinstance(self.rows, msgspec.Raw):
            force_setattr(self, "rows", read_rows(bytes(self.rows)))
        super().__post_init__()


class SealedBlock(_Block, frozen=True, kw_only=True, omit_defaults=True, tag="sealed"):
    """A `RowBlock` that only the key of its job opens: its JSON, compressed (LZ4) and encrypted (AES-256-GCM)."""

    content: bytes
    """Twelve bytes of nonce, the ciphertext, 16 bytes of tag. The place ``<job id>/<run>/<block>`` is authenticated."""


class UndoBlock(_Block, frozen=True, kw_only=True, omit_defaults=True, tag="undo"):
    """A range of rows to take out."""

    last_row: RowCount

    def __post_init__(self) -> None:
        _require_order(self.first_row, self.last_row)


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stretch of a dataset's rows in the order of (date, job, row number). All bounds are included."""

    since: Moment
    """Date of the first rows, milliseconds since 1970."""
    till: Moment
    jobs: tuple[str, str] | None = None
    """Where more rows than a slice takes have one date: the first and the last job whose rows these are."""
    rows: tuple[RowCount, RowCount] | None = None
    """Where more than a slice takes are of one job as well: their first and last row number in that job."""


class SliceBlock(_Block, frozen=True, kw_only=True, omit_defaults=True, tag="slice"):
    """A slice of an export: its rows, in date order, become one part of the file."""

    last_row: RowCount
    frozen: str
    """The point in time of Elasticsearch that the slice was counted in, and is to be read in."""
    span: Span

    def __post_init__(self) -> None:
        _require_order(self.first_row, self.last_row)


OpenBlock = RowBlock | UndoBlock | SliceBlock
"""What operations are given."""
Block = OpenBlock | SealedBlock


class BlockHead(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a block that the dispatcher needs; the other fields are skipped."""

    kind: str
    job_id: JobId
    block: BlockNumber
    first_row: RowCount
    run: Counter = 0
