"""Datasets: what the columns of a file are, read from Frictionless Table Schema descriptors.

https://specs.frictionlessdata.io/table-schema/ gives the descriptor; its property ``sluice`` is our own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from schemas.fields import (
    DatasetError,
    Field,
    missing_values,
    parse_field,
    refuse_unknown,
    require_plain,
    require_texts,
    shown,
)
from schemas.names import neighbours_problem

__all__ = ["ERROR_COLUMNS", "Dataset", "DatasetError", "Field", "header_problem", "parse_dataset"]

ERROR_COLUMNS = ("sluice_row", "sluice_line", "sluice_column", "sluice_reason")
"""Columns that ``errors.csv`` adds to a file's own. A file may have any of them, anywhere: no check reads them."""

_NAMED = 10
"""So many columns of a header are named in a message, and so many characters of a name from a file."""
_NAME_CHARACTERS = 80
_PROPERTIES = frozenset({"$schema", "name", "title", "description", "fields", "primaryKey", "missingValues", "sluice"})
_OWN = frozenset({"date_field", "exclusive_key"})


@dataclass(frozen=True, slots=True)
class Dataset:
    """One kind of table: its columns in order, its key, and what jobs on it exclude each other by."""

    name: str
    fields: tuple[Field, ...]
    primary_key: tuple[str, ...] = ()
    date_field: str | None = None
    exclusive_key: tuple[str, ...] = ("organisation", "dataset")
    title: str = ""
    descriptor: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.fields)


def parse_dataset(name: str, descriptor: Any) -> Dataset:
    """The dataset that a Table Schema descriptor (a decoded JSON object) describes.

    Raises:
        DatasetError: a property is missing, unknown, or not of the kinds that Sluice knows.
    """
    if not isinstance(descriptor, dict) or not isinstance(descriptor.get("fields"), list) or not descriptor["fields"]:
        raise DatasetError(f"dataset {name}: a JSON object with a list 'fields' is expected")
    where, own = f"dataset {name}", descriptor.get("sluice", {})
    refuse_unknown(where, "property", descriptor, _PROPERTIES)
    refuse_unknown(where, "property sluice", own, _OWN)
    missing = missing_values(where, descriptor)
    fields = tuple(parse_field(name, item, missing) for item in descriptor["fields"])
    require_plain(where, descriptor)
    require_texts(where, descriptor, "$schema", "name", "title", "description")
    columns = [column.name for column in fields]
    if neighbours := neighbours_problem(columns):
        raise DatasetError(f"dataset {name}, field {neighbours[0]!r}: {neighbours[1]}")
    key, date_field = _primary_key(where, descriptor.get("primaryKey", [])), own.get("date_field")
    for named in (*key, *([date_field] if date_field is not None else [])):
        if named not in columns:
            raise DatasetError(f"dataset {name}: {shown(named)} is not one of its fields")
    for column in fields:
        if column.unique and key != (column.name,):
            raise DatasetError(
                f"dataset {name}, field {column.name!r}: unique is checked of the key alone; make it the primaryKey"
            )
    if date_field is not None and not any(
        item.name == date_field and item.type in ("date", "datetime") for item in fields
    ):
        raise DatasetError(f"dataset {name}: sluice.date_field {date_field!r} is of type date or datetime")
    exclusive = own.get("exclusive_key", ["organisation", "dataset"])
    if not isinstance(exclusive, list) or not exclusive or any(x not in ("organisation", "dataset") for x in exclusive):
        raise DatasetError(f"dataset {name}: sluice.exclusive_key is a list of 'organisation' and 'dataset'")
    return Dataset(
        name=name,
        # Without a value there is no key.
        fields=tuple(replace(column, required=True) if column.name in key else column for column in fields),
        primary_key=key,
        date_field=date_field,
        exclusive_key=tuple(exclusive),
        title=descriptor.get("title", name),
        descriptor=descriptor,
    )


def _primary_key(where: str, given: Any) -> tuple[str, ...]:
    key = [given] if isinstance(given, str) else given
    if not isinstance(key, list) or not all(isinstance(named, str) for named in key):
        raise DatasetError(f"{where}: primaryKey is the name of a field, or a list of names, not {shown(given)}")
    if len(set(key)) < len(key):
        raise DatasetError(f"{where}: primaryKey names a field twice: {shown(key)}")
    return tuple(key)


def header_problem(dataset: Dataset, header: Sequence[str]) -> str | None:
    """What is wrong with a file's header for this dataset, in words; None: nothing. Columns may come in any order."""
    header = list(header)
    if unnamed := header.count(""):
        numbers = list(islice((str(number) for number, name in enumerate(header, start=1) if not name), _NAMED))
        which = f"column {numbers[0]} has" if unnamed == 1 else f"columns {_listed(numbers, unnamed)} have"
        return (
            f"of the {len(header)} columns in the header {which} no name; delete what has no name in every line of "
            "the file (often a delimiter too many at the end of each line), or give it the name of a column"
        )
    times = Counter(header)
    repeated = sorted(name for name, count in times.items() if count > 1)
    if len(repeated) == 1:
        return f"the column '{_shown(repeated[0])}' appears twice in the header; every column may appear once"
    if repeated:
        named = _listed([_shown(name) for name in repeated[:_NAMED]], len(repeated))
        return f"these columns appear twice in the header: {named}; every column may appear once"
    wanted, given = frozenset(dataset.columns), times.keys() - frozenset(ERROR_COLUMNS)
    if given == wanted:
        return None
    parts = []
    if missing := [name for name in dataset.columns if name not in given]:
        parts.append(f"missing: {_listed(missing)}")
    if unknown := [name for name in header if name in given and name not in wanted]:
        parts.append(f"unknown: {_listed([_shown(name) for name in unknown[:_NAMED]], len(unknown))}")
    return (
        f"the header does not fit dataset {dataset.name!r} ({'; '.join(parts)}); "
        f"expected the columns {', '.join(dataset.columns)}, in any order"
    )


def _listed(names: Sequence[str], count: int | None = None) -> str:
    more = (len(names) if count is None else count) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _shown(name: str) -> str:
    """A name from a file, on one line and not too long."""
    short = repr(name[:_NAME_CHARACTERS])[1:-1]
    return short if len(name) <= _NAME_CHARACTERS else f"{short}..."
