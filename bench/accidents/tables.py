"""Tables for `bench accidents`: generated rows, accidents made in them, and files in which there is none."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Final

from runtime.datasets import load_datasets
from sample_csv.datasets import Dataset as Sample
from sample_csv.pools import make_pools
from sample_csv.rows import generate_bytes
from schemas.descriptors.datasets import Dataset, parse_dataset

Rows = list[list[str]]

CUSTOMERS: Final = {
    "fields": [
        {"name": "customer", "constraints": {"required": True, "pattern": "C[0-9]{6}"}},
        {"name": "name", "constraints": {"required": True}},
        {"name": "landline", "format": "phone", "constraints": {"required": True}},
        {"name": "mobile", "format": "phone", "constraints": {"required": True}},
        {"name": "second_mobile", "format": "phone"},
        {"name": "country", "constraints": {"required": True}},
        {"name": "opened", "type": "date", "constraints": {"required": True}},
        {"name": "renewed", "type": "date"},
        {"name": "net", "type": "number", "constraints": {"minimum": 0}},
        {"name": "gross", "type": "number", "constraints": {"minimum": 0}},
    ],
    "primaryKey": "customer",
}
"""Columns of like kind: three phone numbers, two dates, two amounts."""


@dataclass(frozen=True, slots=True)
class Table:
    """A file, and the dataset that it is for."""

    dataset: Dataset
    header: tuple[str, ...]
    rows: Rows

    def part(self, first: int, last: int) -> Table:
        """Some of its rows."""
        return replace(self, rows=self.rows[first:last])


def people(rows: int, seed: int, start: date = date(2026, 1, 1)) -> Table:
    """People, as `./sluice sample people` makes them."""
    return _table(load_datasets()["people"], generate_bytes(Sample.PEOPLE, rows, seed, start))


def teams(rows: int, seed: int) -> Table:
    """Teams, whose name is their key."""
    return _table(load_datasets()["teams"], generate_bytes(Sample.TEAMS, rows, seed))


def customers(rows: int, seed: int) -> Table:
    """Customers: columns of like kind, and a key."""
    random, homes = Random(seed), make_pools(seed).homes
    found = []
    for number in range(rows):
        home = random.choice(homes)
        opened = date(2020, 1, 1) + timedelta(days=random.randrange(2300))
        net = random.randrange(100, 500_000) / 100
        found.append(
            [
                f"C{number:06d}",
                f"{random.choice(home.given).text} {random.choice(home.family).text}",
                f"0{random.randrange(10, 99)} {random.randrange(100, 999)} {random.randrange(1000, 9999)}",
                f"{random.choice(home.phone_stems)}{random.randrange(10**6):06d}",
                f"{random.choice(home.phone_stems)}{random.randrange(10**6):06d}" if random.random() < 0.8 else "",
                home.country,
                opened.isoformat(),
                (opened + timedelta(days=random.randrange(30, 900))).isoformat() if random.random() < 0.7 else "",
                f"{net:.2f}",
                f"{net * 1.21:.2f}",
            ]
        )
    dataset = parse_dataset("customers", CUSTOMERS)
    return Table(dataset, tuple(field.name for field in dataset.fields), found)


def exchanged(table: Table, one: str, other: str) -> Table:
    """The values of two columns exchanged."""
    at, to = table.header.index(one), table.header.index(other)
    rows = [list(row) for row in table.rows]
    for row in rows:
        row[at], row[to] = row[to], row[at]
    return replace(table, rows=rows)


def columns_moved(table: Table, by: int) -> Table:
    """Every value moved by some columns to the right."""
    return replace(table, rows=[row[-by:] + row[:-by] for row in table.rows])


def shifted(table: Table, column: str, by: int) -> Table:
    """The values of a column moved down by some rows (up: less than 0); the rows that are left have those of the other
    end, as a sort of one column alone leaves none empty.
    """
    at = table.header.index(column)
    values = [row[at] for row in table.rows]
    moved = values[-by:] + values[:-by]
    rows = [[*row[:at], value, *row[at + 1 :]] for row, value in zip(table.rows, moved, strict=True)]
    return replace(table, rows=rows)


def years_wrong(table: Table, column: str, years: int) -> Table:
    """The years of a column of dates too high, or too low."""
    at = table.header.index(column)
    rows = [list(row) for row in table.rows]
    for row in rows:
        if row[at]:
            text = f"{int(row[at][:4]) + years:04d}{row[at][4:]}"
            row[at] = text if text[4:10] != "-02-29" else f"{text[:5]}02-28{text[10:]}"
    return replace(table, rows=rows)


def clean_files(own: Table, fresh: Table, other: Table, random: Random) -> Iterator[tuple[str, Table]]:
    """Files without an accident, by what tells them from the rows before. `fresh` are rows of the same pools as `own`,
    `other` of others.
    """
    yield "new rows", fresh
    yield "new rows from elsewhere", other
    yield "the same rows again", own.part(0, len(fresh.rows))
    yield "the same rows, some changed", _changed(own.part(0, len(fresh.rows)), fresh, random)
    yield "a short file", fresh.part(0, random.randrange(10, 120))
    yield "sorted by a column", _sorted(fresh, random)
    yield "of one kind alone", _alike(fresh, random)
    yield "columns in another order", _reordered(fresh, random)


def _changed(table: Table, donor: Table, random: Random) -> Table:
    """A third of the rows have new values in all but their first column."""
    rows = [
        [row[0], *new[1:]] if random.random() < 1 / 3 else row for row, new in zip(table.rows, donor.rows, strict=False)
    ]
    return replace(table, rows=rows)


def _sorted(table: Table, random: Random) -> Table:
    at = random.randrange(len(table.header))
    return replace(table, rows=sorted(table.rows, key=lambda row: row[at]))


def _alike(table: Table, random: Random) -> Table:
    """Only the rows that have the same value in the column with the fewest different ones."""
    at = min(range(len(table.header)), key=lambda place: len({row[place] for row in table.rows}))
    value = random.choice(table.rows)[at]
    return replace(table, rows=[row for row in table.rows if row[at] == value])


def _reordered(table: Table, random: Random) -> Table:
    order = list(range(len(table.header)))
    random.shuffle(order)
    rows = [[row[place] for place in order] for row in table.rows]
    return replace(table, header=tuple(table.header[place] for place in order), rows=rows)


MAKERS: Final[Mapping[str, Callable[[int, int], Table]]] = {"people": people, "teams": teams, "customers": customers}


def _table(dataset: Dataset, data: bytes) -> Table:
    header, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    return Table(dataset, tuple(header), rows)
