"""Datasets: what the columns of a file are, read from Frictionless Table Schema descriptors.

https://specs.frictionlessdata.io/table-schema/ gives the descriptor; its property ``sluice`` is our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.descriptors.fields import (
    DatasetError,
    Field,
    missing_values,
    parse_field,
    refuse_unknown,
    require_plain,
    require_texts,
    shown,
)
from schemas.descriptors.modes import MODES, KeyScope, Mode
from schemas.names import folded, neighbours_problem

__all__ = ["ERROR_COLUMNS", "Dataset", "DatasetError", "Field", "parse_dataset"]

ERROR_COLUMNS = ("sluice_row", "sluice_line", "sluice_column", "sluice_reason")
"""Columns that ``errors.csv`` adds to a file's own. A file may have any of them, anywhere: no check reads them."""

_PROPERTIES = frozenset({"$schema", "name", "title", "description", "fields", "primaryKey", "missingValues", "sluice"})
_OWN = frozenset({"date_field", "exclusive_key", "key_scope", "mode", "modes"})


@dataclass(frozen=True, slots=True)
class Dataset:
    """One kind of table: its columns in order, its key, and what jobs on it exclude each other by."""

    name: str
    fields: tuple[Field, ...]
    primary_key: tuple[str, ...] = ()
    date_field: str | None = None
    exclusive_key: tuple[str, ...] = ("organisation", "dataset")
    key_scope: KeyScope = "job"
    """How far the key reaches. With ``organisation`` there is one document a key, which later jobs may change."""
    mode: Mode = "create"
    """The mode of jobs that name none."""
    modes: tuple[Mode, ...] = ("create",)
    """The modes that a job may name."""
    title: str = ""
    descriptor: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.fields)

    def fills(self, constants: Mapping[str, str], uploaded_at: int) -> tuple[tuple[str, str], ...]:
        """Field and text, for each field that has a text of its own where the rows do not have it: the job's constant,
        or else the default of a job that was made at this time, in milliseconds since 1970."""
        found = []
        for column in self.fields:  # for each block: most fields have neither
            if column.name in constants:
                found.append((column.name, constants[column.name]))
            elif column.default is not None:
                found.append((column.name, column.default_text(uploaded_at) or ""))
        return tuple(found)


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
    _require_distinct(name, fields)
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
    _require_indexed(where, fields, key, date_field)
    exclusive = own.get("exclusive_key", ["organisation", "dataset"])
    if not isinstance(exclusive, list) or not exclusive or any(x not in ("organisation", "dataset") for x in exclusive):
        raise DatasetError(f"dataset {name}: sluice.exclusive_key is a list of 'organisation' and 'dataset'")
    scope = _scope(where, own, key)
    mode, modes = _modes(where, own, scope)
    return Dataset(
        name=name,
        # Without a value there is no key.
        fields=tuple(replace(column, required=True) if column.name in key else column for column in fields),
        primary_key=key,
        date_field=date_field,
        exclusive_key=tuple(exclusive),
        key_scope=scope,
        mode=mode,
        modes=modes,
        title=descriptor.get("title", name),
        descriptor=descriptor,
    )


def _require_indexed(where: str, fields: Sequence[Field], key: Sequence[str], date_field: str | None) -> None:
    for column in fields:
        if not column.indexed and (column.name in key or column.name == date_field):
            use = (
                "rows are known by their primaryKey" if column.name in key else "exports take rows by sluice.date_field"
            )
            raise DatasetError(f"{where}, field {column.name!r}: sluice.index can't be false, since {use}")


def _primary_key(where: str, given: Any) -> tuple[str, ...]:
    key = [given] if isinstance(given, str) else given
    if not isinstance(key, list) or not all(isinstance(named, str) for named in key):
        raise DatasetError(f"{where}: primaryKey is the name of a field, or a list of names, not {shown(given)}")
    if len(set(key)) < len(key):
        raise DatasetError(f"{where}: primaryKey names a field twice: {shown(key)}")
    return tuple(key)


def _scope(where: str, own: Mapping[str, Any], key: Sequence[str]) -> KeyScope:
    scope = own.get("key_scope", "job")
    if scope not in ("job", "organisation"):
        raise DatasetError(f"{where}: sluice.key_scope is 'job' or 'organisation', not {shown(scope)}")
    if "key_scope" in own and not key:
        raise DatasetError(f"{where}: sluice.key_scope says how far the primaryKey reaches, and there is none")
    return "organisation" if scope == "organisation" else "job"


def _modes(where: str, own: Mapping[str, Any], scope: KeyScope) -> tuple[Mode, tuple[Mode, ...]]:
    """The mode of jobs that name none, and those that they may name."""
    listed = own.get("modes", list(MODES) if scope == "organisation" else ["create"])
    if not isinstance(listed, list) or not listed or any(name not in MODES for name in listed):
        raise DatasetError(f"{where}: sluice.modes is a list of {', '.join(MODES)}, not {shown(listed)}")
    modes = tuple(mode for mode in MODES if mode in listed)
    if scope == "job" and modes != ("create",):
        raise DatasetError(
            f"{where}: sluice.modes names {', '.join(modes)}: other modes than create need a key that reaches the "
            f"organisation (sluice.key_scope)"
        )
    first = own.get("mode", "create" if "create" in modes else modes[0])
    chosen = next((mode for mode in modes if mode == first), None)
    if chosen is None:
        raise DatasetError(f"{where}: sluice.mode is one of {', '.join(modes)}, not {shown(first)}")
    return chosen, modes


def _require_distinct(dataset: str, fields: Sequence[Field]) -> None:
    """A file's column may be guessed to be a field by its name, its title or an alias: what two share would be
    neither's. Two names may look alike, since a file can have them exactly as they are."""
    owners: dict[str, tuple[Field, str]] = {}
    for column in fields:
        for called in (column.name, *column.aliases):
            other, theirs = owners.setdefault(folded(called), (column, called))
            if other is not column and (called, theirs) != (column.name, other.name):
                raise DatasetError(
                    f"dataset {dataset}, field {column.name!r}: a column {shown(called)} could be this field or "
                    f"{other.name!r}, which is also called {shown(theirs)}; give one of them another title or alias"
                )
