"""Which of a file's columns is which field of its dataset: by what the job says, by its exact name, or by a guess.

One function for everyone who meets a header: the API when it takes a file in, the check of corrected rows, the page,
and the reader. The first of them decides, and the job records it (`Match.recorded`); the others follow the record.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from csvfile import column_words as words
from schemas.bounds import MOST_COLUMN_TEXT, MOST_COLUMNS
from schemas.descriptors.datasets import ERROR_COLUMNS, Dataset
from schemas.descriptors.modes import Mode, needs_key_only
from schemas.job import Options
from schemas.messages.blocks import PASSED_OVER
from schemas.names import folded


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of a file's columns before its header is read."""

    columns: Mapping[str, str | None] = field(default_factory=dict)
    """Column of the file -> field; None: it is passed over."""
    constants: Mapping[str, str] = field(default_factory=dict)
    """Field -> the text of every row: the file is not to have it."""
    ignore_extra: bool = False
    key_only: bool = False
    """The file may leave out all fields but those of the key."""
    recorded: Mapping[str, str | None] | None = None
    """What was decided when the file was taken in: the header has exactly these columns. Nothing else counts then."""


def wanted_by(options: Options, mode: Mode | None = None) -> Wanted:
    """What a job's options say of the columns of its file, and its mode of those that may be left out."""
    return Wanted(options.columns, options.set, options.ignore_extra, needs_key_only(mode))


def wanted_of_corrections(options: Options, mode: Mode | None = None) -> Wanted:
    """The same of a file of corrected rows: its columns have the names of fields, not those of the job's first file."""
    return Wanted({}, options.set, options.ignore_extra, needs_key_only(mode))


@dataclass(frozen=True, slots=True)
class Match:
    """A header's columns, and the field of each."""

    names: tuple[str, ...]
    """The names of the columns as the file has them."""
    fields: tuple[str, ...]
    """For each of `names` its field, one of `ERROR_COLUMNS` as it is, or `PASSED_OVER`."""
    missing: tuple[str, ...] = ()
    """Fields that have no column, no constant and no default."""
    problem: str | None = None
    """Why the header does not fit, in words; None: it does."""
    broken: bool = False
    """The columns can't be told apart, whatever the job says of them."""
    plain: bool = False
    """Each field is a column of its very name, there are no others, and the job says nothing of columns."""

    @property
    def known(self) -> int:
        """How many columns are not passed over."""
        return len(self.fields) - self.fields.count(PASSED_OVER)

    @property
    def recorded(self) -> dict[str, str | None] | None:
        """What a job records of it; None: nothing, the exact names say it."""
        if self.plain:
            return None
        return {
            name: None if known in (PASSED_OVER, *ERROR_COLUMNS) else known
            for name, known in zip(self.names, self.fields, strict=True)
        }


def match_columns(names: Sequence[str], dataset: Dataset, wanted: Wanted) -> Match:
    """The field of each of a header's columns, which may come in any order. `names` have no white space around them."""
    names = tuple(names)
    if "" in names and not (wanted.ignore_extra or "" in wanted.columns or "" in (wanted.recorded or {})):
        return by_exact_names(names, dataset, words.unnamed(names))
    twice = sorted(
        name for name, count in Counter(names).items() if name and count > 1 and not _passed_over(name, dataset, wanted)
    )
    if twice:
        return by_exact_names(names, dataset, words.repeated(twice))
    if len(names) > MOST_COLUMNS:  # there are datasets of fewer fields only, and to compare so many names takes long
        return by_exact_names(names, dataset, words.too_many(len(names)))
    if wanted.recorded is not None:
        return _as_recorded(names, wanted.recorded)
    asked, problem = _asked(names, wanted.columns)
    called, own = _called(dataset), frozenset((*dataset.columns, *ERROR_COLUMNS))
    found: list[Sequence[str]] = []
    for name in names:
        if name in asked:
            found.append([asked[name] or PASSED_OVER])
        else:
            found.append([name] if name in own else called.get(folded(name), ()))
    fields = tuple(candidates[0] if len(candidates) == 1 else PASSED_OVER for candidates in found)
    given = set(fields) - {PASSED_OVER, *ERROR_COLUMNS}
    filled = {*wanted.constants, *(column.name for column in dataset.fields if column.default is not None)}
    needed = dataset.primary_key if wanted.key_only else dataset.columns
    missing = tuple(name for name in needed if name not in given and name not in filled)
    plain = fields == names and len(given) == len(dataset.fields) and not (wanted.columns or wanted.ignore_extra)
    extra = [name for name, one in zip(names, fields, strict=True) if one == PASSED_OVER and name not in asked]
    unwanted = [] if wanted.ignore_extra else extra
    problem = problem or _doubt(names, found) or _clash(names, fields, wanted.constants)
    if problem is None and (missing or unwanted or not given):
        problem = words.misfit(dataset, missing, unwanted)
    if problem is None and not plain:
        problem = columns_size_problem(dict(zip(names, fields, strict=True)))
    return Match(names, fields, missing, problem, plain=plain)


def _passed_over(name: str, dataset: Dataset, wanted: Wanted) -> bool:
    """Whether all columns of this very name are passed over, so that it does not matter how many there are."""
    if wanted.recorded is not None:
        return wanted.recorded.get(name, "") is None
    if name in wanted.columns:
        return wanted.columns[name] is None
    known = name in dataset.columns or name in ERROR_COLUMNS or _called(dataset).get(folded(name))
    return wanted.ignore_extra and not known


def by_exact_names(names: tuple[str, ...], dataset: Dataset, problem: str) -> Match:
    """A header that can't be used: those of its columns that are known in any case."""
    known = {*dataset.columns, *ERROR_COLUMNS}
    fields = tuple(name if name in known else PASSED_OVER for name in names)
    return Match(names, fields, problem=problem, broken=True)


def columns_size_problem(columns: Mapping[str, str | None]) -> str | None:
    """Why a job can't record so many columns and their fields, or such long names; None: it can."""
    if len(columns) > MOST_COLUMNS:
        return words.too_many(len(columns))
    if sum(len(name) + len(meant or "") for name, meant in columns.items()) > MOST_COLUMN_TEXT:
        return f"the names of the columns have more than {MOST_COLUMN_TEXT:,} characters together; shorten them"
    return None


def _as_recorded(names: tuple[str, ...], recorded: Mapping[str, str | None]) -> Match:
    fields = tuple(name if name in ERROR_COLUMNS else recorded.get(name) or PASSED_OVER for name in names)
    fits = set(names) == recorded.keys()
    return Match(names, fields, problem=None if fits else words.other_header(names, list(recorded)))


def _asked(names: tuple[str, ...], columns: Mapping[str, str | None]) -> tuple[dict[str, str | None], str | None]:
    """What the job says of these columns, and what is wrong with that. It may call them as loosely as they may be."""
    asked: dict[str, str | None] = {}
    keys: dict[str, str] = {}
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names if columns else ():
        if name not in columns:
            alike[folded(name)].append(name)
    known, problem = frozenset(names), None
    for key, meant in columns.items():
        found = [key] if key in known else alike.get(folded(key), [])
        if len(found) != 1:
            problem = problem or (words.mapped_by_several(key, found) if found else words.unmapped(key, names))
        elif found[0] in asked:
            problem = problem or words.mapped_twice(found[0], (keys[found[0]], key))
        else:
            asked[found[0]], keys[found[0]] = meant, key
    return asked, problem


@lru_cache(maxsize=64)
def _called(dataset: Dataset) -> Mapping[str, Sequence[str]]:
    """A name that a column may have, folded -> the fields with this name."""
    fields: dict[str, list[str]] = defaultdict(list)
    for column in dataset.fields:
        for called in dict.fromkeys(map(folded, (column.name, *column.aliases))):
            if called:
                fields[called].append(column.name)
    return fields


def _doubt(names: Sequence[str], found: Sequence[Sequence[str]]) -> str | None:
    several = ((name, some) for name, some in zip(names, found, strict=True) if len(some) > 1)
    return next((words.doubtful(name, some) for name, some in several), None)


def _clash(names: Sequence[str], fields: Sequence[str], constants: Mapping[str, str]) -> str | None:
    """The first field that has more than one column, or a constant besides its column."""
    columns: dict[str, list[str]] = defaultdict(list)
    for name, one in zip(names, fields, strict=True):
        if one != PASSED_OVER:
            columns[one].append(name)
    for one, several in columns.items():
        if len(several) > 1:
            return words.doubled(several, one)
        if one in constants:
            return words.set_as_well(several[0], one)
    return None
