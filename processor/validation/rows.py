"""A block's rows against their dataset: which may be stored, as what, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from control.creation.quotas import exceeded
from processor.validation import error_kinds
from processor.validation.columns import BadValueError, compile_column
from schemas.descriptors.datasets import ERROR_COLUMNS, Dataset
from schemas.descriptors.fields import Field
from schemas.descriptors.formulas import unguard
from schemas.messages.blocks import PASSED_OVER, RowBlock
from schemas.messages.packed_rows import JsonColumn, PackedRows, only
from schemas.messages.progress import RowError

VALUE_CHARACTERS = 200
"""A refused value is cut at this length in its error."""


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """A block's rows, sorted into good and bad."""

    numbers: list[int]
    """Row numbers of the good rows."""
    columns: tuple[str, ...]
    stored: list[Sequence[Any]]
    """For each of `columns`, the values of the good rows, as they are to be stored."""
    errors: list[RowError]

    @property
    def values(self) -> list[tuple[Any, ...]]:
        """The values of each good row, in the order of `columns`."""
        return list(zip(*self.stored, strict=True))

    @property
    def named(self) -> list[dict[str, Any]]:
        """Each good row as column -> value."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]


class Problem(NamedTuple):
    """Why a row is bad, and where."""

    reason: str
    column: str | None = None
    value: str | None = None
    misfit: bool = False
    """It is not that of a value: see `RowError.misfit`."""


class RowChecker:
    """Checks of a dataset's rows, for one order of columns."""

    def __init__(self, dataset: Dataset, columns: Sequence[str], fills: Sequence[tuple[str, str]] = ()) -> None:
        """`columns`: as in a block. `fills`: field and text, for fields that have it in every row if the rows do not
        have the field. Columns without a name and those of an ``errors.csv`` are passed over.

        Raises:
            KeyError: a column is not one of the dataset's.
            BadValueError: a text of `fills` does not fit its field.
        """
        fields = {field.name: field for field in dataset.fields}
        self.names = tuple(columns)
        self._positions = [
            position for position, name in enumerate(columns) if name != PASSED_OVER and name not in ERROR_COLUMNS
        ]
        self._columns = [compile_column(fields[columns[position]]) for position in self._positions]
        given = [columns[position] for position in self._positions]
        filled = {name: filling(fields[name], text) for name, text in fills if name not in given}
        self._stored = (*given, *filled)
        self._filling = tuple(filled.values())
        """What is stored in every row of the fields that the rows do not have."""

    def check(
        self, block: RowBlock, organisation: str, at: int, raw: bool = False, most_characters: int | None = None
    ) -> CheckedRows:
        """Sort a block's rows; `at`, in milliseconds, is the time its errors carry. A row with a value of more than
        `most_characters` is bad.

        Unless `raw`, apostrophes go that an export put before what a spreadsheet would take for a formula.
        """
        problems: dict[int, Problem] = {}
        places: Sequence[int] = range(len(block.rows))
        guarded = block.guarded and not raw
        whole: Sequence[Sequence[str]] | None = None if guarded else self._packed(block, most_characters)
        if whole is None:
            problems = self._misfits(block)
            if most_characters is not None:
                problems.update(self._too_long(block, organisation, most_characters))
            if problems:
                places = [place for place in places if place not in problems]
            rows = [block.rows[place] for place in places] if problems else block.rows
            if guarded:
                rows = [[unguard(value) for value in row] for row in rows]
            whole = list(zip(*rows, strict=True))
        stored: list[Sequence[Any]] = self._values(whole, places, problems) if places else [()] * len(self._columns)
        stored += [[value] * len(places) for value in self._filling]
        if not problems:
            return CheckedRows(list(block.row_numbers), self._stored, stored, [])
        numbers = block.row_numbers
        good = [index for index, place in enumerate(places) if place not in problems]
        return CheckedRows(
            [numbers[places[index]] for index in good],
            self._stored,
            [only(values, good) for values in stored],
            [row_error(block, place, problems[place], organisation, at) for place in sorted(problems)],
        )

    def _packed(self, block: RowBlock, most_characters: int | None) -> list[JsonColumn] | None:
        """The block's columns as JSON, if all of its rows fit the header and have no longer value than may be."""
        if not isinstance(block.rows, PackedRows) or block.unreadable:
            return None
        found = block.rows.columns(len(self.names))
        if found and most_characters is not None and max(column.lengths[1] for column in found) > most_characters:
            return None
        return found

    def _values(
        self, whole: Sequence[Sequence[str]], places: Sequence[int], problems: dict[int, Problem]
    ) -> list[Sequence[Any]]:
        """The values to store, by column, of rows that fit the header; what is wrong with one goes into `problems`."""
        stored: list[Sequence[Any]] = []
        for column, position in zip(self._columns, self._positions, strict=True):
            texts = whole[position]
            values = column.whole(texts) if isinstance(texts, JsonColumn) else column.fast(texts)
            if values is None:
                values, bad = column.sift(texts)
                for index, reason in bad.items():
                    if places[index] not in problems:  # a row's first problem is its error
                        problems[places[index]] = Problem(f"{column.name} {reason}", column.name, texts[index])
            stored.append(values)
        return stored

    def _too_long(self, block: RowBlock, organisation: str, most: int) -> dict[int, Problem]:
        """Rows with a value of more characters than the organisation may have, by their places."""
        found: dict[int, Problem] = {}
        for place, row in enumerate(block.rows):
            if max(map(len, row), default=0) <= most:
                continue
            position = next(index for index, value in enumerate(row) if len(value) > most)
            length = f"the value has {len(row[position]):,} characters"
            column = self.names[position] if position < len(self.names) else None
            reason = exceeded("field_characters", organisation, most, length).message
            found[place] = Problem(reason, column or None, row[position])
        return found

    def _misfits(self, block: RowBlock) -> dict[int, Problem]:
        """Rows that could not be read, or have too few or too many values, by their places."""
        wanted = len(self.names)
        if not block.unreadable and set(map(len, block.rows)) <= {wanted}:
            return {}
        found = {}
        for place, row in enumerate(block.rows):
            reason = block.unreadable.get(place)
            if reason is None and len(row) != wanted:
                reason = error_kinds.wrong_count(len(row), wanted)
            if reason is not None:
                found[place] = Problem(reason, misfit=True)
        return found


def row_error(block: RowBlock, place: int, problem: Problem, organisation: str, at: int) -> RowError:
    """The error of the row at `place` in its block; `at`, in milliseconds, is the time it carries."""
    columns, values = _own_values(block, place)
    return RowError(
        job_id=block.job_id,
        row=block.row_numbers[place],
        line=block.line_of(place) if block.first_line else 0,
        column=problem.column,
        value=problem.value[:VALUE_CHARACTERS] if problem.value is not None else None,
        reason=problem.reason,
        columns=columns,
        values=values,
        guarded=block.guarded,
        misfit=problem.misfit,
        organisation=organisation,
        at=at,
    )


def _own_values(block: RowBlock, place: int) -> tuple[list[str], list[str]]:
    """The columns and the values of a row as its error records them: without those that are passed over."""
    columns, row = block.columns, block.rows[place]
    if PASSED_OVER not in columns:
        return columns, row
    own = [position for position, name in enumerate(columns) if name != PASSED_OVER]
    surplus = row[len(columns) :]
    return [columns[position] for position in own], [row[position] for position in own if position < len(row)] + surplus


def filling(field: Field, text: str) -> Any:
    """The value to store in every row.

    Raises:
        BadValueError: the text does not fit the field.
    """
    try:
        return compile_column(field).explain(text)
    except BadValueError as error:
        raise BadValueError(f"{field.name} is {text[:VALUE_CHARACTERS]!r} in every row, and {error}") from error


@lru_cache(maxsize=256)
def row_checker(dataset: Dataset, columns: tuple[str, ...], fills: tuple[tuple[str, str], ...] = ()) -> RowChecker:
    """The checker for this dataset, order of columns and `fills`, compiled once. Raises as `RowChecker`."""
    return RowChecker(dataset, columns, fills)
