"""Rows of an errors.csv that were not read properly, after other programs have saved the file, corrected or not."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.jobs.reading.row_errors import csv_lines, csv_row
from csvfile.columns import wanted_by, wanted_of_corrections
from csvfile.cutter import Limits
from csvfile.errors import CsvFileError
from csvfile.header import read_header
from csvfile.refused_rows import SURPLUS
from ingest.blocks.files import Roots
from ingest.sources import SourceContext, block_source
from processor.validation.rows import CheckedRows, row_checker
from schemas.descriptors.datasets import ERROR_COLUMNS, parse_dataset
from schemas.job import Input, Options, Source
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import decode, encode
from schemas.messages.plans import ReadFile

DATASET = parse_dataset(
    "d", {"fields": [{"name": name, "sluice": {"default": "none", "aliases": [f"{name} 1"]}} for name in "abc"]}
)
"""Takes any value, and files without some of its fields: no row is refused for anything but how it was read."""
COLUMNS = list(DATASET.columns)
WIDTH = len(COLUMNS) + len(ERROR_COLUMNS)
"""Columns of an errors.csv."""
Sheet = list[list[str]]
"""The cells of a CSV file, line by line."""

TEXT = st.text("=-'\t\r\n\",a é", max_size=3)
MISFIT = st.lists(TEXT, min_size=1, max_size=2) | st.lists(TEXT, min_size=4, max_size=5)
NOT_READ = st.tuples(MISFIT, st.none()) | st.tuples(st.lists(TEXT, min_size=1, max_size=5), st.just("not read"))
ROWS = st.lists(NOT_READ, min_size=1, max_size=4)
JOB = st.sampled_from(
    [
        {},
        {"a": None},
        {"b": None, "c": None},
        {"a": "b", "b": "a"},
        {"a": "b", "b": None, "c": "a"},
    ]
)
"""What a new job says of the columns a, b and c."""


def padded(sheet: Sheet) -> Sheet:
    width = max(map(len, sheet))
    return [[*row, *[""] * (width - len(row))] for row in sheet]


def without_unnamed(sheet: Sheet) -> Sheet:
    named = [place for place, name in enumerate(sheet[0]) if name]
    return [[row[place] for place in named if place < len(row)] for row in sheet]


def without_trailing(sheet: Sheet, least: int = 0) -> Sheet:
    """Each line without its last empty cells, but for the first `least` cells."""
    return [row[: max(least, *(place for place, cell in enumerate(row, start=1) if cell))] for row in sheet]


def reordered(order: list[int]) -> Callable[[Sheet], Sheet]:
    def of(sheet: Sheet) -> Sheet:
        wide = padded(sheet)
        places = [place for place in order if place < len(wide[0])]
        return [[row[place] for place in [*places, *range(len(order), len(row))]] for row in wide]

    return of


def with_other_line_ends(sheet: Sheet) -> Sheet:
    return [[re.sub("\r+\n", "\n", cell) for cell in row] for row in sheet]


def renamed(sheet: Sheet) -> Sheet:
    return [[f"{name.upper()} 1" if name in COLUMNS else name for name in sheet[0]], *sheet[1:]]


def fewest(sheet: Sheet) -> Sheet:
    return without_trailing(sheet, len(without_trailing(sheet[:1])[0]))


SAVED = st.lists(
    st.sampled_from([padded, without_unnamed, with_other_line_ends])
    | st.permutations(range(WIDTH)).map(reordered)
    | st.permutations(range(WIDTH + 2)).map(reordered),
    max_size=3,
)
"""What programs, and people, do to all lines of a file."""


def errors_csv(rows: list[tuple[list[str], str | None]]) -> Sheet:
    """The errors.csv of these rows: cells, and why they could not be read; None: they are too few or too many."""
    unreadable = {place: reason for place, (_, reason) in enumerate(rows) if reason}
    block = RowBlock(
        job_id="j", block=0, first_row=1, columns=COLUMNS, rows=[cells for cells, _ in rows], unreadable=unreadable
    )
    return written(row_checker(DATASET, tuple(COLUMNS)).check(block, "o", 0))


def written(checked: CheckedRows) -> Sheet:
    documents = [msgspec.json.decode(encode(error)) for error in checked.errors]
    lines = [csv_row(document, COLUMNS, False) for document in documents]
    text = csv_lines([[*COLUMNS, *ERROR_COLUMNS], *lines]).decode()
    return list(csv.reader(io.StringIO(text, newline="")))


def read(sheet: Sheet, options: Options, numbered: bool) -> list[CheckedRows]:
    """What a retry, or (not `numbered`) a new job, makes of the file. Raises CsvFileError: it refuses the file."""
    data = csv_lines(sheet)
    wanted = wanted_of_corrections(options) if numbered else wanted_by(options)
    columns = read_header(data, True, DATASET, wanted).match.recorded
    with TemporaryDirectory() as folder:
        (Path(folder) / "f.csv").write_bytes(data)
        plan = ReadFile(
            job_id="j", epoch=0, command_offset=0, partitions=8, run=1, dataset="d", numbered=numbered,
            source=Source(path="f.csv", columns=columns),
        )  # fmt: skip
        around = SourceContext({"d": DATASET}, Roots(Path(folder)), Limits(3, 4096))
        steps = [step for step in block_source(plan, Input(), around) if step]
    blocks = [decode(encode(step.block), RowBlock) for step in steps]  # type: ignore[union-attr]
    return [row_checker(DATASET, tuple(block.columns)).check(block, "o", 0) for block in blocks]


def stored(found: list[CheckedRows]) -> list[dict[str, Any]]:
    return [row for checked in found for row in checked.named]


def reasons(found: list[CheckedRows]) -> list[str]:
    return [error.reason for checked in found for error in checked.errors]


@pytest.mark.parametrize("numbered", [True, False])
@given(ROWS, SAVED, st.booleans(), st.booleans(), st.booleans(), JOB)
@example([(["x", "y", "z", "EXTRA"], None)], [padded], False, False, True, {})
@example([(["x", "y", "z", "EXTRA"], None)], [padded, without_unnamed], False, False, False, {})
@example([(["x", "y", "z", ""], None)], [], True, False, False, {})
@example([(["x"], None)], [], False, False, False, {"a": None})
@settings(max_examples=80, deadline=None)
def test_rows_that_nobody_has_corrected_are_refused_again(
    numbered: bool,
    rows: list[tuple[list[str], str | None]],
    saved: list[Callable[[Sheet], Sheet]],
    trailing: bool,
    other_names: bool,
    ignore_extra: bool,
    job: Mapping[str, str | None],
) -> None:
    first = sheet = errors_csv(rows)
    for change in saved:
        sheet = change(sheet)
    if trailing:
        sheet = without_trailing(sheet)
    if other_names:
        sheet = renamed(sheet)
    columns = {} if other_names else {**job}
    try:
        found = read(sheet, Options(columns=columns, ignore_extra=ignore_extra), numbered)
    except CsvFileError as error:
        assert "" in sheet[0], error
        assert not ignore_extra, error
        return
    assert stored(found) == []
    assert reasons(found) == [row[WIDTH - 1].rpartition(" [")[0] for row in first[1:]]


@pytest.mark.parametrize("numbered", [True, False])
@given(ROWS, SAVED, st.booleans(), st.booleans(), st.booleans(), JOB, st.sampled_from(["edited", "shifted", "cleared"]))
@settings(max_examples=80, deadline=None)
def test_rows_that_were_corrected_are_stored_as_they_are_now(
    numbered: bool,
    rows: list[tuple[list[str], str | None]],
    saved: list[Callable[[Sheet], Sheet]],
    trailing: bool,
    other_names: bool,
    ignore_extra: bool,
    job: Mapping[str, str | None],
    how: str,
) -> None:
    sheet = errors_csv(rows)
    corrected, own = [], len(COLUMNS)
    for row in sheet[1:]:
        cells = row[:own]
        if how == "edited":
            cells[-1] += "!"
        elif how == "shifted":
            cells = [*cells[1:], f"{''.join(row[WIDTH:])}!"]
        reason = "" if how == "cleared" else row[WIDTH - 1]
        # A surplus value is removed; other rows of the file may still make its lines wider.
        corrected.append([*cells, *row[own : WIDTH - 1], reason, *[""] * (len(row) - WIDTH)])
    if with_other_line_ends in saved:  # in the values as well
        corrected = with_other_line_ends(corrected)
    names = {name: name for name in COLUMNS} | ({} if numbered or other_names else {**job})
    kept = [(place, field) for place, name in enumerate(COLUMNS) if (field := names[name])]
    expected = row_checker(DATASET, tuple(field for _, field in kept)).check(
        RowBlock(
            job_id="j", block=0, first_row=1, columns=[field for _, field in kept], guarded=True,
            rows=[[row[place] for place, _ in kept] for row in corrected],
        ), "o", 0,
    )  # fmt: skip
    sheet = [sheet[0], *corrected]
    for change in saved:
        sheet = change(sheet)
    sheet = fewest(sheet) if trailing else sheet
    if "" not in sheet[0]:
        sheet = [row[: len(sheet[0])] for row in sheet]
    options = Options(columns={} if other_names else {**job}, ignore_extra=ignore_extra or "" in sheet[0])
    found = read(renamed(sheet) if other_names else sheet, options, numbered)
    assert (reasons(found), stored(found)) == ([], expected.named)


@pytest.mark.parametrize("numbered", [True, False])
@given(st.integers(0, 2), st.sampled_from(COLUMNS))
def test_what_a_corrected_row_still_has_too_much_is_named_and_kept(numbered: bool, more: int, column: str) -> None:
    sheet = padded(errors_csv([(["x", "y", "z", "EXTRA", *["more"] * more], None)]))
    sheet[1][COLUMNS.index(column)] += "!"
    found = read(sheet, Options(ignore_extra=True), numbered)
    assert (stored(found), reasons(found)) == ([], [SURPLUS])
    (checked,) = found
    assert written(checked)[1][WIDTH:] == sheet[1][WIDTH:]


@pytest.mark.parametrize("numbered", [True, False])
def test_notes_beside_rows_whose_values_were_refused_are_passed_over(numbered: bool) -> None:
    sheet = [[*COLUMNS, *ERROR_COLUMNS, ""], ["x", "y", "z", "1", "2", "a", "a is no number", "done"]]
    assert len(stored(read(sheet, Options(ignore_extra=True), numbered))) == 1


@pytest.mark.parametrize("column", [*COLUMNS, "note"])
def test_a_column_of_notes_corrects_no_row(column: str) -> None:
    sheet = errors_csv([(["x", "y", "z", "EXTRA"], None), (["x"], None)])
    noted = [[*row[:WIDTH], "note" if place == 0 else "done"] for place, row in enumerate(sheet)]
    found = read(noted, Options(columns={column: None}, ignore_extra=True), numbered=False)
    assert (stored(found), len(reasons(found))) == ([], 2)


def test_the_refusal_of_columns_without_a_name_says_to_correct_the_rows_first() -> None:
    sheet = padded(errors_csv([(["x", "y", "z", "EXTRA"], None)]))
    with pytest.raises(CsvFileError, match="put each such row right, and only then delete what has no name"):
        read(sheet, Options(), numbered=True)
