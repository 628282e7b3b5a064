"""A block's rows against their dataset, and the committed sample files against theirs."""

from __future__ import annotations

import csv
import io

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from processor.elastic.documents import document_lines
from processor.validation.columns import BadValueError
from processor.validation.rows import CheckedRows, RowChecker, row_checker
from runtime.datasets import load_datasets
from sample_csv.ready import FILES
from schemas.descriptors.datasets import Dataset, Field
from schemas.messages.blocks import PackedBlock, RowBlock
from schemas.messages.codec import decode, encode
from schemas.messages.packed_rows import BETWEEN_ROWS, packed_row

PETS = Dataset("pets", (Field("name", required=True), Field("age", "integer"), Field("kind", enum=("cat", "dog"))))
COLUMNS = ("name", "age", "kind")


def block(rows: list[list[str]], first_line: int = 8, lines: list[int] | None = None, **more: str) -> RowBlock:
    unreadable = {int(name[1:]): reason for name, reason in more.items()}
    return RowBlock(
        job_id="j1",
        block=0,
        first_row=7,
        columns=list(COLUMNS),
        rows=rows,
        first_line=first_line,
        lines=lines,
        unreadable=unreadable,
    )


def check(rows: RowBlock) -> CheckedRows:
    """Checked as an inbox's block is, and as a file's: what comes of it is the same."""
    checker = RowChecker(PETS, COLUMNS)
    listed, as_json = checker.check(rows, "acme", at=17), checker.check(packed(rows), "acme", at=17)
    assert (listed.numbers, listed.values, listed.errors) == (as_json.numbers, as_json.values, as_json.errors)
    assert lines_of(listed) == lines_of(as_json)
    return as_json


def packed(rows: RowBlock) -> RowBlock:
    """The block as a worker has it from a reader that has cut it out of a file."""
    text = b"[%b]" % BETWEEN_ROWS.join(map(packed_row, rows.rows))
    found: RowBlock = decode(encode(replace(rows, rows=msgspec.Raw(text))), PackedBlock)
    assert list(found.rows) == list(rows.rows) and encode(found) == encode(replace(rows, rows=msgspec.Raw(text)))
    return found


def lines_of(rows: CheckedRows) -> bytes:
    return document_lines("j1", "acme", rows.columns, rows.numbers, rows.stored).text


def test_good_rows_are_stored_under_their_numbers_as_their_types() -> None:
    checked = check(block([["Rex", "3", "dog"], ["Tom", "", ""]]))
    assert checked.numbers == [7, 8]
    assert checked.values == [("Rex", 3, "dog"), ("Tom", None, None)]
    assert not checked.errors


def test_a_bad_row_does_not_keep_its_neighbours_out() -> None:
    checked = check(block([["Rex", "3", "dog"], ["Tom", "old", "cat"], ["Kim", "1", "dog"]]))
    assert checked.numbers == [7, 9]
    assert checked.values == [("Rex", 3, "dog"), ("Kim", 1, "dog")]
    (error,) = checked.errors
    assert (error.job_id, error.row, error.line, error.organisation, error.at) == ("j1", 8, 9, "acme", 17)
    assert (error.column, error.value, error.reason) == ("age", "old", "age is not a whole number")
    assert (error.columns, error.values) == (list(COLUMNS), ["Tom", "old", "cat"])


def test_a_row_has_one_error_the_first_that_is_found() -> None:
    (error,) = check(block([["", "old", "cow"]])).errors
    assert (error.column, error.value, error.reason) == ("name", "", "name is required, but empty")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["Rex", "3"], "too few values: 2 instead of 3"),
        (["Rex", "3", "dog", "brown"], "too many values: 4 instead of 3"),
        ([], "too few values: 0 instead of 3"),
    ],
)
def test_a_row_with_another_number_of_values_is_refused_whole(row: list[str], reason: str) -> None:
    checked = check(block([["Tom", "2", "cat"], row]))
    assert checked.values == [("Tom", 2, "cat")]
    (error,) = checked.errors
    assert (error.row, error.column, error.value, error.values) == (8, None, None, row)
    assert reason in error.reason


def test_a_row_that_the_reader_could_not_read_keeps_the_readers_words() -> None:
    checked = check(block([["Rex", "3", "dog"], ["To"], ["Kim", "1", "dog"]], _1="a quote is not closed"))
    assert checked.numbers == [7, 9]
    assert [(error.row, error.reason) for error in checked.errors] == [(8, "a quote is not closed")]


def test_the_line_is_the_one_on_which_the_row_begins() -> None:
    bad = ["", "", ""]
    assert [error.line for error in check(block([bad, bad])).errors] == [8, 9]
    assert [error.line for error in check(block([bad, bad], lines=[8, 12])).errors] == [8, 12]
    assert [error.line for error in check(block([bad], first_line=0)).errors] == [0], "there is no file"


def test_a_long_value_is_cut_in_its_error() -> None:
    (error,) = check(block([["Rex", "9" * 5000, "dog"]])).errors
    assert error.value == "9" * 200


ROWS = st.lists(
    st.lists(st.sampled_from(["Rex", "", "3", "x", "dog", "漢"]), min_size=3, max_size=3), min_size=1, max_size=6
)


@given(ROWS)
@settings(deadline=None)
def test_rows_are_judged_the_same_alone_and_in_company(rows: list[list[str]]) -> None:
    together = check(block(rows))
    alone = [check(block([row])) for row in rows]
    assert together.values == [value for one in alone for value in one.values]
    assert [error.reason for error in together.errors] == [error.reason for one in alone for error in one.errors]
    assert sorted([*together.numbers, *(error.row for error in together.errors)]) == list(range(7, 7 + len(rows)))


def test_columns_may_come_in_any_order() -> None:
    checker = row_checker(PETS, ("kind", "name", "age"))
    rows = RowBlock(job_id="j1", block=0, first_row=1, columns=["kind", "name", "age"], rows=[["dog", "Rex", "3"]])
    assert checker.check(rows, "acme", 0).values == [("dog", "Rex", 3)]


def test_columns_that_errors_csv_added_are_passed_over() -> None:
    columns = ["sluice_row", "kind", "name", "age", "sluice_reason"]
    rows = [["900", "dog", "Rex", "3", "name is bad"], ["901", "dog", "Tom", "old", ""], ["902", "dog"]]
    block = RowBlock(job_id="j1", block=0, first_row=1, columns=columns, rows=rows)
    for checked in (RowChecker(PETS, columns).check(block, "acme", 0), check_first(columns, block)):
        assert (checked.columns, checked.values) == (("kind", "name", "age"), [("dog", "Rex", 3)])
    bad, short = RowChecker(PETS, columns).check(block, "acme", 0).errors
    assert (bad.column, bad.value, bad.columns, bad.values) == ("age", "old", columns, rows[1])
    assert "2 instead of 5" in short.reason


def check_first(columns: list[str], block: RowBlock) -> CheckedRows:
    """The first row alone, which goes the fast way."""
    return RowChecker(PETS, columns).check(replace(block, rows=block.rows[:1]), "acme", 0)


def test_a_column_that_the_dataset_has_not_cannot_be_checked() -> None:
    with pytest.raises(KeyError):
        RowChecker(PETS, ("name", "colour"))


# -- the sample files ------------------------------------------------------------------------------------------------


def checked_file(name: str, dataset: str) -> tuple[int, CheckedRows]:
    """How many rows a committed file has, and what the checks make of them."""
    header, *rows = csv.reader(io.StringIO((FILES / name).read_text(encoding="utf-8"), newline=""))
    checker = RowChecker(load_datasets()[dataset], header)
    rows_block = RowBlock(job_id="j1", block=0, first_row=1, columns=header, rows=rows, first_line=2)
    return len(rows), checker.check(rows_block, "acme", at=17)


@pytest.mark.parametrize(("name", "dataset"), [("people-small.csv", "people"), ("teams-small.csv", "teams")])
def test_every_row_of_a_good_file_is_good(name: str, dataset: str) -> None:
    count, checked = checked_file(name, dataset)
    assert checked.errors == []
    assert checked.numbers == list(range(1, count + 1))


def test_swapped_columns_show_in_every_row() -> None:
    count, checked = checked_file("people-swapped-columns.csv", "people")
    assert not checked.numbers
    assert [error.row for error in checked.errors] == list(range(1, count + 1))
    assert {error.column for error in checked.errors} == {"email"}


def test_a_phone_column_that_is_a_row_off_shows_in_the_first_row() -> None:
    count, checked = checked_file("teams-shifted-phones.csv", "teams")
    assert [(error.row, error.line, error.column) for error in checked.errors] == [(1, 2, "manager_phone")]
    assert len(checked.numbers) == count - 1, "the others look good: only the first gives it away"


def test_a_file_that_was_cut_off_shows_in_its_last_row() -> None:
    count, checked = checked_file("people-truncated.csv", "people")
    assert [error.row for error in checked.errors] == [count]
    assert "too few values" in checked.errors[0].reason


FILLED = (("age", "3"), ("kind", ""))


def test_fields_that_the_rows_do_not_have_are_stored_from_what_fills_them() -> None:
    rows = replace(block([["Rex"], ["Tom"], ["", ""]]), columns=["name"])
    checked = RowChecker(PETS, ["name"], FILLED).check(rows, "acme", at=17)
    assert (checked.columns, checked.values) == (("name", "age", "kind"), [("Rex", 3, None), ("Tom", 3, None)])
    (error,) = checked.errors
    assert (error.columns, error.reason) == (["name"], "the row has too many values: 2 instead of 1")


def test_what_fills_a_field_is_left_out_where_the_rows_have_it() -> None:
    checker = RowChecker(PETS, COLUMNS, FILLED)
    assert checker.check(block([["Rex", "9", "dog"]]), "acme", at=17).values == [("Rex", 9, "dog")]


def test_a_text_that_does_not_fit_its_field_is_refused_once() -> None:
    with pytest.raises(BadValueError, match="age is 'old' in every row, and is not a whole number"):
        RowChecker(PETS, ["name"], [("age", "old")])


def test_columns_that_are_passed_over_are_neither_stored_nor_recorded() -> None:
    columns = ["", "name", "", "age"]
    rows = replace(
        block(
            [["note", "Rex", "", "3"], ["note", "Tom", "x", "old"], ["note", "Kim"], ["n", "Pat", "", "1", "surplus"]]
        ),
        columns=columns,
    )
    checked = RowChecker(PETS, columns, [("kind", "dog")]).check(rows, "acme", at=17)
    assert (checked.columns, checked.values) == (("name", "age", "kind"), [("Rex", 3, "dog")])
    assert [error.columns for error in checked.errors] == [["name", "age"]] * 3
    assert [error.values for error in checked.errors] == [["Tom", "old"], ["Kim"], ["Pat", "1", "surplus"]]
