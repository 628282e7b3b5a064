"""How many accidents are seen, and how many files without one are taken for one: on generated rows, without servers.

The rows that an organisation has are in memory; a file is compared with a sample of them, as a worker does it. What it
costs an upload is measured on a stack of its own (`bench/accidents/cost.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from random import Random
from typing import Any, Final

from bench.accidents.tables import (
    MAKERS,
    Table,
    clean_files,
    columns_moved,
    exchanged,
    shifted,
    years_wrong,
)
from processor.execution.inspections import first_rows_of
from processor.execution.own_rows import SAMPLE
from processor.suspicion.first_rows import FirstRows, OwnRows
from processor.suspicion.judging import suspicion_of
from processor.suspicion.known_rows import values_to_look_up
from processor.validation.rows import CheckedRows, row_checker
from schemas.messages.blocks import RowBlock
from schemas.suspicion import Suspicion

FILE_ROWS: Final = 1000
OWN_ROWS: Final = 20_000
NOW: Final = int(datetime(2026, 12, 31, tzinfo=UTC).timestamp() * 1000)
EARLIER: Final = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp() * 1000)
YEARS: Final = (1, -1, 2, -2, 10, -10, 100, -100, -2000)
WITHIN_YEARS: Final = 2
NOTHING: Final = OwnRows({})

Accident = tuple[str, Table, Callable[[Suspicion], bool]]
"""What it is called in the table, the file, and whether a suspicion names it."""


@dataclass(slots=True)
class Seen:
    """One line of the table."""

    name: str
    files: int = 0
    seen: int = 0
    named: int = 0
    """Files of which the suspicion's kind, columns and distance are right."""

    @property
    def share(self) -> float:
        """The share of the files in which an accident was seen."""
        return self.seen / self.files if self.files else 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured."""

    seeds: tuple[int, ...]
    with_history: list[Seen]
    without_history: list[Seen]
    clean: list[Seen]
    """Alarms, with history: `seen` are those that should not be."""
    clean_without_history: list[Seen]


def measure(seeds: Sequence[int], files: int, told: Callable[[str], None]) -> Figures:
    """Look at accidents and at `files` clean files; `told` is told how far it is."""
    figures = Figures(tuple(seeds), [], [], [], [])
    lines: dict[tuple[int, str], Seen] = {}
    each = -(-files // (len(seeds) * len(MAKERS)))
    for seed in seeds:
        for maker, make in MAKERS.items():
            told(f"seed {seed}: {maker}")
            whole = make(OWN_ROWS + 2 * FILE_ROWS, seed)
            own, fresh = whole.part(0, OWN_ROWS), whole.part(OWN_ROWS, OWN_ROWS + FILE_ROWS)
            kept = Kept(own, Random(seed))
            for name, table, right in accidents(maker, own.part(0, FILE_ROWS), fresh, Random(seed)):
                _note(lines, 0, figures.with_history, f"{maker}: {name}", kept.look(table), right)
                _note(lines, 1, figures.without_history, f"{maker}: {name}", look(table), right)
            other, random, given = make(FILE_ROWS, seed + 1_000_003), Random(seed + 1), 0
            while given < each:
                at = random.randrange(OWN_ROWS, OWN_ROWS + FILE_ROWS)
                for name, table in clean_files(own, whole.part(at, at + FILE_ROWS), other, random):
                    if given < each:
                        _note(lines, 2, figures.clean, f"{maker}: {name}", kept.look(table))
                        _note(lines, 3, figures.clean_without_history, f"{maker}: {name}", look(table))
                        given += 1
    return figures


def accidents(maker: str, known: Table, fresh: Table, random: Random) -> Iterator[Accident]:
    """Accidents of every kind. `known` are rows that the organisation has, `fresh` others."""
    for one, other in combinations(fresh.header, 2):
        same_kind = {one, other} == {"mobile", "second_mobile"}
        name = "two phones of one kind, of known rows" if same_kind else _pair_name(one, other)
        yield name, exchanged(known if same_kind else fresh, one, other), _names("exchanged", {one, other})
    for by in (1, 2, 3, -1, -2, -3):
        yield "columns moved by one to three places", columns_moved(fresh, by), _names("shifted")
    for by in random.sample([*range(-20, 0), *range(1, 21)], 12):
        for column in known.header:
            name = "a column shifted by 1 to 20 rows, of known rows"
            yield name, shifted(known, column, by), _names("shifted", {column}, by)
        if maker == "people":
            for column in ("name", "email", "phone", "country"):
                name = "name, email, phone or country shifted by 1 to 20 rows, of new rows"
                yield name, shifted(fresh, column, by), _names("shifted", {column}, by)
    for column in [field.name for field in fresh.dataset.fields if field.type in ("date", "datetime")]:
        for years in YEARS:
            right = _names("unusual", {column}, years)
            near = maker == "customers" and abs(years) <= WITHIN_YEARS
            name = f"wrong years, by {WITHIN_YEARS} at most of dates of six years" if near else "wrong years"
            yield f"{name}, of new rows", years_wrong(fresh, column, years), right
            yield "wrong years, of known rows", years_wrong(known, column, years), right


def _pair_name(one: str, other: str) -> str:
    pairs = {
        ("name", "country"): "name and country exchanged",
        ("landline", "mobile"): "two phones exchanged, landline and mobile",
        ("landline", "second_mobile"): "two phones exchanged, landline and mobile",
        ("opened", "renewed"): "two dates exchanged",
        ("net", "gross"): "two amounts exchanged",
    }
    return pairs.get((one, other), "two other columns exchanged")


def _names(kind: str, columns: set[str] | None = None, by: int | None = None) -> Callable[[Suspicion], bool]:
    def right(found: Suspicion) -> bool:
        return (
            found.kind == kind
            and (columns is None or columns <= set(found.columns))
            and (by is None or abs(found.by) == abs(by))
        )

    return right


def _note(
    lines: dict[tuple[int, str], Seen],
    part: int,
    into: list[Seen],
    name: str,
    found: Suspicion | None,
    right: Callable[[Suspicion], bool] | None = None,
) -> None:
    line = lines.get((part, name))
    if line is None:
        line = lines[part, name] = Seen(name)
        into.append(line)
    line.files += 1
    line.seen += found is not None
    line.named += found is not None and right is not None and right(found)


class Kept:
    """The rows that an organisation has, and what a worker reads of them."""

    def __init__(self, table: Table, random: Random) -> None:
        self._checked = _checked(table)
        self._rows = list(zip(*self._checked.stored, strict=True))
        sample = random.sample(self._rows, SAMPLE)
        self._sample = dict(zip(self._checked.columns, map(list, zip(*sample, strict=True)), strict=True))
        self._by: dict[str, dict[Any, int]] = {}

    def look(self, table: Table) -> Suspicion | None:
        """What a file looks like beside them."""
        first_rows = first_rows_in(table)
        return suspicion_of(first_rows, self._own(first_rows))

    def _own(self, first_rows: FirstRows) -> OwnRows:
        names = [name for name in first_rows.fields.values() if name in first_rows.stored]
        found = [
            dict(zip(self._checked.columns, self._rows[at], strict=True))
            for name, values in values_to_look_up(first_rows, names).items()
            for value in values
            if (at := self._places(name).get(value)) is not None
        ]
        return OwnRows(
            columns={name: self._sample[name] for name in names if name in self._sample},
            jobs_at=[EARLIER] * SAMPLE,
            known=SAMPLE,
            found=found,
        )

    def _places(self, name: str) -> Mapping[Any, int]:
        if name not in self._by:
            at = self._checked.columns.index(name)
            self._by[name] = {row[at]: place for place, row in enumerate(self._rows)}
        return self._by[name]


def look(table: Table) -> Suspicion | None:
    """What a file looks like to an organisation that has no rows."""
    return suspicion_of(first_rows_in(table), NOTHING)


def first_rows_in(table: Table) -> FirstRows:
    """A file's first rows, as a worker makes them of its first block."""
    return first_rows_of(table.dataset, _block(table), _checked(table), {}, {}, NOW)


def _checked(table: Table) -> CheckedRows:
    return row_checker(table.dataset, table.header).check(_block(table), "bench", 0)


def _block(table: Table) -> RowBlock:
    return RowBlock(job_id="bench", block=0, first_row=1, columns=list(table.header), rows=table.rows)
