"""Files and own rows for tests of what files look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

from bench.accidents.seen import NOW
from bench.accidents.tables import Table, customers, people, teams
from processor.execution.inspections import first_rows_of
from processor.suspicion.first_rows import FirstRows, OwnRows
from processor.suspicion.judging import suspicion_of
from processor.validation.rows import CheckedRows, row_checker
from schemas.messages.blocks import RowBlock
from schemas.suspicion import Suspicion

NOTHING = OwnRows({})


@cache
def table(kind: str, rows: int = 600, seed: int = 5) -> Table:
    return {"people": people, "teams": teams, "customers": customers}[kind](rows, seed)


def checked(given: Table, columns: Sequence[str] | None = None) -> CheckedRows:
    return row_checker(given.dataset, tuple(columns or given.header)).check(block(given, columns), "acme", 0)


def block(given: Table, columns: Sequence[str] | None = None) -> RowBlock:
    return RowBlock(job_id="j1", block=0, first_row=1, columns=list(columns or given.header), rows=given.rows)


def first_rows(given: Table, recorded: Mapping[str, str | None] | None = None) -> FirstRows:
    """The file; `recorded`: its columns by other names."""
    columns = [meant or "" for meant in recorded.values()] if recorded else None
    return first_rows_of(given.dataset, block(given, columns), checked(given, columns), recorded or {}, {}, NOW)


def own(given: Table, sample: int = 300, found: Sequence[Mapping[str, Any]] = ()) -> OwnRows:
    """Some of a table's rows as those that an organisation has."""
    rows = checked(given)
    places = sorted(Random(1).sample(range(len(rows.numbers)), min(sample, len(rows.numbers))))
    columns = {name: [values[at] for at in places] for name, values in zip(rows.columns, rows.stored, strict=True)}
    return OwnRows(columns, [None] * len(places), len(places), found)


def seen(given: Table, rows: OwnRows = NOTHING) -> Suspicion | None:
    return suspicion_of(first_rows(given), rows)
