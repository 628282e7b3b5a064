"""What the first rows of files look like: accidents are named, and files without one are left alone."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.accidents.tables import Table, columns_moved, exchanged, shifted, years_wrong
from processor.suspicion.judging import suspicion_of
from processor.suspicion.lags import MOST_ROWS, Lags
from processor.suspicion.rearrangements import exchanges, moves
from processor.suspicion.refused_rows import refused_rows
from processor.suspicion.words_within import _lags, _places
from schemas.descriptors.datasets import parse_dataset
from schemas.suspicion import Suspicion
from tests.support.in_memory.suspicion import NOTHING, checked, first_rows, own, seen, table

FEW = settings(max_examples=10)
LOOSE = {"name", "country", "favorite_color"}
"""Columns of people whose checks take each other's values."""


def put_back(file: Table, found: Suspicion) -> Table:
    """The file as a job with the mapping that was offered reads it."""
    assert found.columns_option is not None
    header = tuple(found.columns_option.get(name, name) or "" for name in file.header)
    return replace(file, header=header)


@FEW
@given(st.deferred(lambda: st.permutations(table("people").header)), st.integers(0, 3), st.integers(3, 200))
def test_a_mapping_that_is_offered_for_refused_rows_makes_them_good(order: list[str], by: int, rows: int) -> None:
    one, other = order[:2]
    file = table("people").part(0, rows)
    wrong = columns_moved(file, by) if by else exchanged(file, one, other)
    found = seen(wrong)
    if not by and {one, other} <= LOOSE:
        return  # the checks say nothing of these
    assert found is not None and found.refused and found.fit >= 0.95
    assert (found.kind, found.by != 0) == (("shifted", True) if by else ("exchanged", False))
    assert len(checked(put_back(wrong, found)).errors) == 0


@pytest.mark.parametrize(("one", "other"), [("email", "phone"), ("name", "email"), ("phone", "created_at")])
def test_the_sentence_names_the_columns_and_how_many_rows_fit(one: str, other: str) -> None:
    found = seen(exchanged(table("people"), one, other))
    assert found is not None
    assert found.message == f"{one} and {other} look exchanged: 600 of 600 rows fit with them the other way round"
    assert found.columns_option == {one: other, other: one}


def test_the_mapping_has_the_names_of_the_file() -> None:
    wrong = exchanged(table("people"), "email", "phone")
    names = ("Name", "Mail", "Tel", "Country", "Colour", "Since")
    recorded: dict[str, str | None] = dict(zip(names, wrong.header, strict=True))
    found = suspicion_of(first_rows(wrong, recorded), NOTHING)
    assert found is not None and found.columns == ("email", "phone")
    assert found.columns_option == {"Mail": "phone", "Tel": "email"}


@pytest.mark.parametrize(("extra", "by"), [(["7"], 1), (["7", "x"], 2)])
def test_values_too_many_in_each_row_are_named_by_their_place(extra: list[str], by: int) -> None:
    file = table("people")
    wide = replace(file, rows=[[*row[:1], *extra, *row[1:]] for row in file.rows])
    found = seen(wide)
    assert found is not None and (found.kind, found.by, found.columns_option) == ("shifted", by, None)
    assert "in front of email" in found.message and found.columns[0] == "email"
    short = seen(replace(file, rows=[row[1:] for row in file.rows]))
    assert short is not None and short.by == -1 and "is missing" in short.message


@FEW
@given(st.integers(0, 10**6), st.integers(1, 600), st.sampled_from(["people", "teams", "customers"]))
def test_good_rows_look_like_no_accident(seed: int, rows: int, kind: str) -> None:
    file = table(kind, 600, 7 + seed % 3)
    some = replace(file, rows=[file.rows[(seed + 7 * place) % 600] for place in range(rows)])
    assert seen(some) is None
    assert seen(some, own(table(kind, 600, 5))) is None


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("people", "name", "country"),
        ("people", "country", "favorite_color"),
        ("teams", "team", "manager_name"),
        ("customers", "landline", "mobile"),
        ("customers", "opened", "renewed"),
        ("customers", "net", "gross"),
    ],
)
def test_columns_of_like_kind_are_told_by_the_own_rows(kind: str, one: str, other: str) -> None:
    wrong = exchanged(table(kind, 600, 6), one, other)
    assert seen(wrong) is None
    found = seen(wrong, own(table(kind)))
    assert found is not None and (found.kind, set(found.columns), found.refused) == ("exchanged", {one, other}, False)
    assert found.columns_option == {one: other, other: one}


def test_columns_with_the_same_kind_of_values_are_told_by_rows_of_the_same_key() -> None:
    file = table("customers")
    wrong = exchanged(file, "mobile", "second_mobile")
    found = seen(wrong, own(file))
    assert found is not None and set(found.columns) == {"mobile", "second_mobile"}
    assert "with the same customer" in found.message


@FEW
@given(st.integers(1, 20), st.booleans(), st.deferred(lambda: st.sampled_from(table("teams").header)))
def test_a_shift_by_rows_is_named_with_its_column_and_distance(by: int, up: bool, column: str) -> None:
    by = -by if up else by
    file = table("teams")
    found = seen(shifted(file, column, by), own(file))
    assert found is not None and (found.kind, found.columns, found.by) == ("shifted", (column,), by), found


@FEW
@given(st.integers(0, 10**6), st.integers(-3, 3), st.floats(0, 1), st.integers(2, 40))
def test_distances_that_no_shift_needs_change_no_verdict(seed: int, by: int, moved: float, rows: int) -> None:
    """Each row's words are compared with those of all rows near it, by the definition."""
    random = Random(seed)
    one = [frozenset(random.choices("abcdefghijklmnop", k=random.randrange(3))) for _ in range(rows)]
    other = [one[(place + by) % rows] if random.random() < moved else random.choice(one) for place in range(rows)]
    places = _places(other)
    whole = Lags()
    for place, found in enumerate(one):
        if found and other[place]:
            near = range(max(0, place - MOST_ROWS), min(rows, place + MOST_ROWS + 1))
            whole.note(at - place for at in near if not found.isdisjoint(other[at]))
    lags = _lags(one, other, places)
    for expected in (0.3, 1.0):
        assert (lags.told, lags.fitting, lags.shift(expected)) == (whole.told, whole.fitting, whole.shift(expected))


@pytest.mark.parametrize("bad", [0.0, 0.3, 0.49, 0.51, 0.96, 1.0])
def test_columns_are_not_looked_at_where_the_good_rows_tell_enough(bad: float) -> None:
    file = table("people")
    wrong = exchanged(file, "email", "phone").rows
    at = round(bad * len(file.rows))
    looked_at = first_rows(replace(file, rows=[*wrong[:at], *file.rows[at:]]))
    found = refused_rows(looked_at, NOTHING)
    assert found == refused_rows(replace(looked_at, numbers=()), NOTHING)
    assert (found is not None) == (bad > 0.95)


@FEW
@given(st.integers(1, 20))
def test_a_shift_is_seen_without_own_rows_where_words_of_a_row_belong_together(by: int) -> None:
    found = seen(shifted(table("people"), "email", by))
    assert found is not None and found.kind == "shifted" and "email" in found.columns
    assert abs(found.by) == by


@FEW
@given(st.integers(-2000, 7000).filter(bool))
def test_years_that_are_wrong_are_named_by_how_many(years: int) -> None:
    found = seen(years_wrong(table("people", 600, 6), "created_at", years), own(table("people")))
    assert found is not None and (found.kind, found.columns, found.by) == ("unusual", ("created_at",), years), found


def test_dates_of_later_months_are_not_wrong() -> None:
    before = table("people", 600, 6)
    at = before.header.index("created_at")
    spring = replace(before, rows=[row for row in before.rows if row[at] < "2026-05"])
    autumn = replace(before, rows=[row for row in before.rows if row[at] > "2026-09"])
    assert seen(autumn, own(spring)) is None


def test_a_suspicion_holds_no_value_of_a_row() -> None:
    for wrong in (exchanged(table("people"), "email", "phone"), shifted(table("people"), "email", 2)):
        found = seen(wrong)
        assert found is not None
        assert not any(value in repr(found) for row in wrong.rows for value in row if len(value) > 6)


@given(st.integers(2, 9))
def test_every_pair_and_run_is_tried_once(columns: int) -> None:
    places = range(columns)
    assert len(list(exchanges(places))) == columns * (columns - 1) // 2
    tried = [found.moved for found in moves(places)]
    assert len(tried) == len({frozenset(moved) for moved in tried})
    for moved in tried:
        assert sorted(place for place, _ in moved) == sorted(meant for _, meant in moved)


def test_a_wide_file_is_looked_at_within_bounds() -> None:
    names = [f"f{number}" for number in range(400)]
    fields = [{"name": name, "type": "integer" if at % 2 else "string"} for at, name in enumerate(names)]
    dataset = parse_dataset("wide", {"fields": fields})
    rows = [[f"word{row}" if at % 2 == 0 else str(row + at) for at in range(400)] for row in range(60)]
    file = Table(dataset, tuple(names), rows)
    found = seen(exchanged(file, "f200", "f201"))
    assert found is not None and found.columns == ("f200", "f201")
    assert seen(file, own(file)) is None
