"""The rows of one job on the inbox: which have come, and which of them wait to become blocks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any, cast

import msgspec

from csvfile.cutter import Limits
from schemas.descriptors.intervals import IntervalSet
from schemas.job import Input
from schemas.messages.blocks import RowBlock
from schemas.messages.inbox import InboxRecord

MOST_GAPS = 50_000
"""Gaps between the rows of a job that have come, at most: each makes its record longer, which is written again and
again."""


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """A row that is not in a block yet."""

    number: int
    texts: Sequence[str]
    problem: str | None
    bytes: int


class RowBuffer:
    """The rows of one job that have come. It takes each row number once, however often it comes."""

    def __init__(self, record: InboxRecord) -> None:
        self.job_id = record.job_id
        self._blocks = record.blocks
        self._rows = IntervalSet(record.rows)
        self._waiting: list[Waiting] = []

    def take(self, number: int, texts: Sequence[str], problem: str | None, size: int) -> bool:
        """Take in a row of about `size` bytes; False: it has come before."""
        if not self._rows.add(number):
            return False
        self._waiting.append(Waiting(number, texts, problem, size))
        return True

    def take_all(self, numbers: Sequence[int], texts: Sequence[Sequence[str]], sizes: Sequence[int]) -> None:
        """Take in rows without problems, as far as they have not come before."""
        first, last = numbers[0], numbers[-1]
        if list(numbers) == list(range(first, last + 1)) and self._rows.append(first, last):
            self._waiting += map(Waiting, numbers, texts, repeat(None), sizes)
            return
        for row in zip(numbers, texts, repeat(None), sizes, strict=False):
            self.take(*row)

    @property
    def is_waiting(self) -> bool:
        """Whether there are rows that are not in a block yet."""
        return bool(self._waiting)

    def drop_waiting(self) -> None:
        """Forget the rows that are not in a block yet: each is taken when it comes again."""
        waiting, self._waiting = self._waiting, []
        for row in waiting:
            self._rows.discard(row.number)

    @property
    def blocks(self) -> int:
        """How many blocks have been made; the number of the next one."""
        return self._blocks

    @property
    def is_torn(self) -> bool:
        """Whether its rows are too far out of order to go on."""
        return self._rows.extents > MOST_GAPS

    @property
    def input(self) -> Input:
        """How far it has come, once every row is in a block."""
        return Input(blocks=self._blocks, rows=len(self._rows), first_missing=self._rows.first_missing(1))

    def is_whole(self, rows: int) -> bool:
        """Whether rows 1 to `rows` have come, and no others."""
        return len(self._rows) == rows and self._rows.first_missing(1) == rows + 1

    @property
    def last(self) -> int:
        """The highest row number that has come; 0: none has."""
        return self._rows.last or 0

    def cut(self, columns: Sequence[str], limits: Limits) -> list[RowBlock]:
        """Make blocks of the rows that wait; each holds consecutive rows."""
        waiting, self._waiting = sorted(self._waiting, key=attrgetter("number")), []
        blocks: list[RowBlock] = []
        part: list[Waiting] = []
        size = 0
        for row in waiting:
            fits = len(part) < limits.rows and size + row.bytes <= limits.bytes
            if part and not (fits and row.number == part[-1].number + 1):
                blocks.append(self._block(part, columns))
                part, size = [], 0
            part.append(row)
            size += row.bytes
        if part:
            blocks.append(self._block(part, columns))
        return blocks

    def _block(self, rows: list[Waiting], columns: Sequence[str]) -> RowBlock:
        number = self._blocks
        self._blocks += 1
        return RowBlock(
            job_id=self.job_id,
            block=number,
            first_row=rows[0].number,
            columns=list(columns),
            rows=cast(Any, [row.texts for row in rows]),
            unreadable={index: row.problem for index, row in enumerate(rows) if row.problem},
        )

    def record(self) -> InboxRecord:
        """The checkpoint to write together with the blocks."""
        return InboxRecord(job_id=self.job_id, blocks=self._blocks, rows=tuple(self._rows.intervals()))
