"""A block's rows against their dataset: which may be stored, as what, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from processor.columns import BadValueError, compile_column
from schemas.blocks import RowBlock
from schemas.datasets import ERROR_COLUMNS, Dataset
from schemas.progress import RowError

VALUE_CHARACTERS = 200
"""A refused value is cut at this length in its error."""


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """A block's rows, sorted into good and bad."""

    numbers: list[int]
    """Row numbers of the good rows."""
    columns: tuple[str, ...]
    values: list[tuple[Any, ...]]
    """Values of each good row, in the order of `columns`, as they are to be stored."""
    errors: list[RowError]


class RowChecker:
    """Checks of a dataset's rows, for one order of columns."""

    def __init__(self, dataset: Dataset, columns: Sequence[str]) -> None:
        """Raises KeyError when a column is not one of the dataset's. Those of an ``errors.csv`` are passed over."""
        fields = {field.name: field for field in dataset.fields}
        self.names = tuple(columns)
        self._places = [place for place, name in enumerate(columns) if name not in ERROR_COLUMNS]
        self._columns = [compile_column(fields[columns[place]]) for place in self._places]
        self._stored = tuple(columns[place] for place in self._places)

    def check(self, block: RowBlock, organisation: str, at: int) -> CheckedRows:
        """Sort a block's rows; `at`, in milliseconds, is the time its errors carry."""
        rows = block.rows
        if block.unreadable or any(len(row) != len(self.names) for row in rows):
            return self._check_each(block, [None] * len(self._columns), organisation, at)
        whole = list(zip(*rows, strict=True))
        stored = [column.fast(whole[place]) for column, place in zip(self._columns, self._places, strict=True)]
        if all(values is not None for values in stored):
            numbers = list(range(block.first_row, block.first_row + len(rows)))
            return CheckedRows(numbers, self._stored, list(zip(*stored, strict=True)), [])
        return self._check_each(block, stored, organisation, at)

    def _check_each(
        self, block: RowBlock, stored: Sequence[Sequence[Any] | None], organisation: str, at: int
    ) -> CheckedRows:
        """Row by row; `stored` has the values to store of the columns that are known to be good as a whole."""
        checked = CheckedRows([], self._stored, [], [])
        for index, row in enumerate(block.rows):
            column, text, reason = None, None, block.unreadable.get(index) or self._misfit(row)
            values: list[Any] = []
            if reason is None:
                for column, place, good in zip(self._columns, self._places, stored, strict=True):
                    text = row[place]
                    try:
                        values.append(good[index] if good is not None else column.explain(text))
                    except BadValueError as error:
                        reason = f"{column.name} {error}"
                        break
            if reason is None:
                checked.numbers.append(block.first_row + index)
                checked.values.append(tuple(values))
                continue
            checked.errors.append(
                RowError(
                    job_id=block.job_id,
                    row=block.first_row + index,
                    line=block.line_of(index) if block.first_line else 0,
                    column=column.name if column else None,
                    value=text[:VALUE_CHARACTERS] if text is not None else None,
                    reason=reason,
                    columns=list(self.names),
                    values=list(row),
                    organisation=organisation,
                    at=at,
                )
            )
        return checked

    def _misfit(self, row: Sequence[str]) -> str | None:
        if len(row) == len(self.names):
            return None
        few = "few" if len(row) < len(self.names) else "many"
        return f"the row has too {few} values: {len(row)} instead of {len(self.names)}"


@lru_cache(maxsize=256)
def row_checker(dataset: Dataset, columns: tuple[str, ...]) -> RowChecker:
    """The checker for this dataset and order of columns, compiled once."""
    return RowChecker(dataset, columns)
