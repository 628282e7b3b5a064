"""Datasets: what the columns of a file are, read from Frictionless Table Schema descriptors.

https://specs.frictionlessdata.io/table-schema/ gives the descriptor; its property ``sluice`` is our own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast, get_args

FieldType = Literal["string", "integer", "number", "boolean", "date", "datetime", "any"]


ERROR_COLUMNS = ("sluice_row", "sluice_line", "sluice_column", "sluice_reason")
"""Columns that ``errors.csv`` adds to a file's own. A file may have any of them, anywhere: no check reads them."""


class DatasetError(ValueError):
    """A descriptor that can't be used; the message names it and says what to change."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column."""

    name: str
    type: FieldType = "string"
    format: str = "default"
    """For strings: ``email``, ``phone`` or ``default``."""
    required: bool = False
    unique: bool = False
    pattern: str | None = None
    enum: tuple[Any, ...] = ()
    minimum: Any = None
    maximum: Any = None
    min_length: int | None = None
    max_length: int | None = None


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


_TYPES = frozenset(get_args(FieldType))
_CONSTRAINTS = frozenset({"required", "unique", "pattern", "enum", "minimum", "maximum", "minLength", "maxLength"})


def parse_dataset(name: str, descriptor: Any) -> Dataset:
    """The dataset that a Table Schema descriptor (a decoded JSON object) describes.

    Raises:
        DatasetError: a property is missing, unknown, or not of the kinds that Sluice knows.
    """
    if not isinstance(descriptor, dict) or not isinstance(descriptor.get("fields"), list) or not descriptor["fields"]:
        raise DatasetError(f"dataset {name}: a JSON object with a list 'fields' is expected")
    fields = tuple(_parse_field(name, item) for item in descriptor["fields"])
    columns = [column.name for column in fields]
    if len(set(columns)) != len(columns):
        raise DatasetError(f"dataset {name}: a field name appears twice")
    key = descriptor.get("primaryKey", [])
    key = (key,) if isinstance(key, str) else tuple(key)
    own = descriptor.get("sluice", {})
    date_field = own.get("date_field")
    for column in (*key, *([date_field] if date_field else [])):
        if column not in columns:
            raise DatasetError(f"dataset {name}: {column!r} is not one of its fields")
    exclusive = own.get("exclusive_key", ["organisation", "dataset"])
    if not isinstance(exclusive, list) or not exclusive or not set(exclusive) <= {"organisation", "dataset"}:
        raise DatasetError(f"dataset {name}: sluice.exclusive_key is a list of 'organisation' and 'dataset'")
    return Dataset(
        name=name,
        fields=fields,
        primary_key=key,
        date_field=date_field,
        exclusive_key=tuple(exclusive),
        title=str(descriptor.get("title", name)),
        descriptor=descriptor,
    )


def _parse_field(dataset: str, item: Any) -> Field:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise DatasetError(f"dataset {dataset}: each field is an object with a 'name'")
    where = f"dataset {dataset}, field {item['name']!r}"
    kind = item.get("type", "string")
    if kind not in _TYPES:
        raise DatasetError(f"{where}: type {kind!r} is not known; use one of {', '.join(sorted(_TYPES))}")
    if item["name"] == "sluice" or item["name"].startswith("sluice_"):
        raise DatasetError(f"{where}: this name is taken by Sluice itself; call the field otherwise")
    constraints = item.get("constraints", {})
    unknown = set(constraints) - _CONSTRAINTS
    if unknown:
        raise DatasetError(f"{where}: constraint {sorted(unknown)[0]!r} is not known")
    _require_usable(where, kind, constraints)
    return Field(
        name=item["name"],
        type=cast(FieldType, kind),
        format=item.get("format", "default"),
        required=bool(constraints.get("required", False)),
        unique=bool(constraints.get("unique", False)),
        pattern=constraints.get("pattern"),
        enum=tuple(constraints.get("enum", ())),
        minimum=constraints.get("minimum"),
        maximum=constraints.get("maximum"),
        min_length=constraints.get("minLength"),
        max_length=constraints.get("maxLength"),
    )


def _require_usable(where: str, kind: str, constraints: dict[str, Any]) -> None:
    """A constraint that could only fail at the first row is refused here."""
    try:
        re.compile(constraints.get("pattern") or "")
    except (re.error, TypeError) as error:
        raise DatasetError(f"{where}: the pattern is no regular expression: {error}") from error
    if kind == "boolean" and {"minimum", "maximum"} & set(constraints):
        raise DatasetError(f"{where}: a boolean has no minimum or maximum")
    number = {"integer": int, "number": (int, float)}.get(kind, str)
    for name in ("minimum", "maximum"):
        value = constraints.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, number)):  # type: ignore[arg-type]
            raise DatasetError(f"{where}: {name} {value!r} is not of the field's type, {kind}")
        if value is not None and kind in ("date", "datetime"):
            try:
                datetime.fromisoformat(value)
            except ValueError as error:
                raise DatasetError(f"{where}: {name} {value!r} is no {kind}") from error
    for name in ("minLength", "maxLength"):
        if constraints.get(name) is not None and not isinstance(constraints[name], int):
            raise DatasetError(f"{where}: {name} is a whole number")


def header_problem(dataset: Dataset, header: Sequence[str]) -> str | None:
    """What is wrong with a file's header for this dataset, in words; None: nothing. Columns may come in any order."""
    wanted, given = set(dataset.columns), set(header) - set(ERROR_COLUMNS)
    duplicates = sorted({name for name in header if list(header).count(name) > 1})
    if duplicates:
        return f"the column {duplicates[0]!r} appears twice in the header; every column may appear once"
    if given == wanted:
        return None
    parts = []
    if wanted - given:
        parts.append(f"missing: {', '.join(name for name in dataset.columns if name not in given)}")
    if given - wanted:
        parts.append(f"unknown: {', '.join(repr(name)[1:-1] for name in header if name in given - wanted)}")
    return (
        f"the header does not fit dataset {dataset.name!r} ({'; '.join(parts)}); "
        f"expected the columns {', '.join(dataset.columns)}, in any order"
    )
