"""Why a header does not fit, in words that name the columns, what they could be, and what to write. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from schemas.bounds import MOST_COLUMNS
from schemas.descriptors.datasets import ERROR_COLUMNS, Dataset

_NAMED = 10
"""Columns of a header that a message names, at most."""
_NAME_CHARACTERS = 80
"""Characters of a name from a file that a message shows."""
_WRITTEN_CHARACTERS = 40
"""A longer name is not written out in an example of what to write."""


def unnamed(names: Sequence[str]) -> str:
    """The refusal of a header with columns that have no name; in an ``errors.csv`` they hold what rows had too much."""
    numbers = [str(number) for number, name in enumerate(names, start=1) if not name]
    which = f"column {numbers[0]} has" if len(numbers) == 1 else f"columns {_listed(numbers)} have"
    if ERROR_COLUMNS[3] in names:
        todo = (
            "what a row had too much stands there: put each such row right, and only then delete what has no name in "
            "every line of the file, or pass over it"
        )
    else:
        todo = (
            "delete what has no name in every line of the file (often a delimiter too many at the end of each line), "
            "give it the name of a column, or pass over it"
        )
    return f"of the {len(names)} columns in the header {which} no name; {todo} (options.ignore_extra; --ignore-extra)"


def repeated(twice: Sequence[str]) -> str:
    """The refusal of a header in which these names appear twice."""
    if len(twice) == 1:
        return f"the column '{shown(twice[0])}' appears twice in the header; every column may appear once"
    return f"these columns appear twice in the header: {_names(twice)}; every column may appear once"


def too_many(count: int) -> str:
    """The refusal of a header with more columns than a job can have."""
    return f"{count:,} columns are too many: a file has at most {MOST_COLUMNS:,}"


def misfit(dataset: Dataset, missing: Sequence[str], extra: Sequence[str]) -> str:
    """The refusal of a header that lacks fields, or has columns that no field takes. Neither: no column is a field."""
    parts = [f"missing: {_listed(missing)}"] if missing else []
    parts += [f"unknown: {_names(extra)}"] if extra else []
    todo = []
    if extra and missing:
        todo.append(f"say which column is which (options.columns; {_map(extra[0], missing[0])})")
    if extra:
        todo.append("pass over those not wanted (options.ignore_extra; --ignore-extra)")
    if missing and not extra:
        todo.append(f"set one text for every row (options.set; --set {missing[0]}=TEXT)")
    return (
        f"the header does not fit dataset {dataset.name!r} ({'; '.join(parts) or 'it has none of the columns'}); "
        f"expected the columns {', '.join(dataset.columns)}, in any order{'; ' if todo else ''}{', or '.join(todo)}"
    )


def doubtful(name: str, fields: Sequence[str]) -> str:
    """A column could be several fields."""
    return (
        f"the column '{shown(name)}' could be {' or '.join(map(shown, fields))}; "
        f"say which it is (options.columns; {_map(name, fields[0])})"
    )


def doubled(names: Sequence[str], field: str) -> str:
    """Several columns are for one field."""
    return (
        f"the columns {_names(names, ' and ')} would both be {shown(field)}; "
        f"pass over one of them (options.columns: null; {_map(names[-1], '')}), or say which other field it is"
    )


def set_as_well(name: str, field: str) -> str:
    """A column is for a field that has one text in every row."""
    return (
        f"the column '{shown(name)}' would be {shown(field)}, which is set for every row; pass over the column "
        f"(options.columns: null; {_map(name, '')}), or leave {shown(field)} out of what is set"
    )


def unmapped(name: str, names: Sequence[str]) -> str:
    """The job maps a column that is not there."""
    return f"the job maps a column '{shown(name)}', which the header does not have; it has {_names(names)}"


def mapped_twice(name: str, keys: Sequence[str]) -> str:
    """The job maps a column by two names."""
    return f"the job maps the column '{shown(name)}' more than once: {_names(keys, ' and ')}; leave one out"


def mapped_by_several(key: str, names: Sequence[str]) -> str:
    """The job maps a column by a name that several have."""
    return f"the job maps '{shown(key)}', which could be the columns {_names(names, ' and ')}; write its very name"


def other_header(names: Sequence[str], recorded: Sequence[str]) -> str:
    """The header is not the one that was read before."""
    return (
        f"the header has the columns {_names(names)}, and had {_names(recorded)} when the job was made: "
        "the file has changed; upload it again"
    )


def shown(name: str) -> str:
    """A name from a file, on one line and not too long."""
    short = repr(name[:_NAME_CHARACTERS])[1:-1]
    return short if len(name) <= _NAME_CHARACTERS else f"{short}..."


def _map(name: str, field: str) -> str:
    written = name if len(name) <= _WRITTEN_CHARACTERS else "COLUMN"
    return f"--map {shlex.quote(f'{written}={shown(field)}')}"


def _names(names: Sequence[str], between: str = ", ") -> str:
    return _listed([shown(name) for name in names[:_NAMED]], len(names), between)


def _listed(names: Sequence[str], count: int | None = None, between: str = ", ") -> str:
    more = (len(names) if count is None else count) - _NAMED
    return between.join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
