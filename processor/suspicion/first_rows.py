"""The first rows of a file, as texts and as they would be stored, and the organisation's own rows beside them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from processor.validation.columns import Column, compile_column
from schemas.descriptors.datasets import ERROR_COLUMNS, Dataset
from schemas.messages.blocks import PASSED_OVER

Values = Sequence[Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OwnRows:
    """A sample of the rows of the file's organisation and dataset, and those that have values of the file."""

    columns: Mapping[str, Values]
    """Field -> its values as they are stored, a value for each row."""
    jobs_at: Sequence[int | None] = ()
    """When the job that wrote each row was made, milliseconds since 1970; None: not known."""
    known: int = 0
    """How many rows there are to compare with, counted up to a limit."""
    found: Sequence[Mapping[str, Any]] = ()
    """Own rows that have values of the file, field -> value."""
    kept: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)
    """What `once` has made of the columns; a copy with other `found` has the same."""

    def once(self, what: Hashable, make: Callable[[], T]) -> T:
        """What `make` makes of the columns alone, made once: it may be asked for before there is a file."""
        if what not in self.kept:
            self.kept[what] = make()
        found: T = self.kept[what]
        return found

    @property
    def rows(self) -> int:
        """Rows in the sample."""
        return max(map(len, self.columns.values()), default=0)


@dataclass(frozen=True)
class FirstRows:
    """The first rows of a file."""

    dataset: Dataset
    columns: tuple[str, ...]
    """The field of each column of the file, as in a block."""
    rows: Sequence[Sequence[str]]
    """Rows that have a value for each column, as texts."""
    misfits: Sequence[Sequence[str]] = ()
    """Rows that have more or fewer values."""
    stored: Mapping[str, Values] = field(default_factory=dict)
    """Field -> the values of the good rows, as they would be stored."""
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Field -> the texts of the good rows."""
    numbers: Sequence[int] = ()
    """Number of each good row."""
    headers: Mapping[int, str] = field(default_factory=dict)
    """Place of a column -> what the file calls it."""
    asked: Mapping[str, str | None] = field(default_factory=dict)
    """The option ``columns`` of the job."""
    at: int = 0
    """When the job was made, milliseconds since 1970."""

    @cached_property
    def fields(self) -> dict[int, str]:
        """Place of a column -> its field, for those that are some field's."""
        return {
            place: name for place, name in enumerate(self.columns) if name != PASSED_OVER and name not in ERROR_COLUMNS
        }

    @cached_property
    def checks(self) -> dict[str, Column]:
        """Field -> its checks."""
        return {entry.name: compile_column(entry) for entry in self.dataset.fields}

    @cached_property
    def _texts(self) -> list[tuple[str, ...]]:
        return list(zip(*self.rows, strict=True)) if self.rows else [() for _ in self.columns]

    def good(self, place: int, name: str) -> int:
        """Which rows' values of the column at `place` would do for the field `name`: bit i is row i."""
        key = (place, name)
        known = self._good.get(key)
        if known is None:
            known = self._good[key] = good_texts(self.checks[name], self._texts[place])
        return known

    @cached_property
    def _good(self) -> dict[tuple[int, str], int]:
        return {}


def good_texts(check: Column, texts: Sequence[str]) -> int:
    """Which texts pass a field's checks: bit i is text i."""
    good = (1 << len(texts)) - 1
    if texts and check.fast(texts) is None:
        for bad in check.sift(texts)[1]:
            good &= ~(1 << bad)
    return good
