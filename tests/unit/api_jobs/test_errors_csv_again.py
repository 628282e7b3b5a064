"""errors.csv to corrected rows to a retry: every value comes back as the first upload would have stored it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.jobs.creation.retry_file import RowSet, corrected_header, rows_problem
from api.jobs.reading.row_errors import csv_lines, csv_row
from csvfile.cutter import Limits
from ingest.blocks.files import Roots
from ingest.errors import SourceError
from ingest.sources import SourceContext, block_source
from processor.validation.rows import row_checker
from schemas.descriptors.datasets import ERROR_COLUMNS, Dataset, parse_dataset
from schemas.descriptors.formulas import unguard
from schemas.job import Input, Options, Source
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import decode, encode
from schemas.messages.plans import ReadFile
from schemas.messages.progress import RowError

TEXTS: list[dict[str, Any]] = [{"name": "a"}, {"name": "b", "type": "any"}]
REFUSED = parse_dataset("refused", {"fields": [*TEXTS, {"name": "bad", "type": "boolean"}]})
"""Refuses every row by its column `bad`."""
TAKEN = parse_dataset("taken", {"fields": [*TEXTS, {"name": "bad"}]})
"""The same columns; what it stores is what the corrected rows must store."""
DATASETS = {dataset.name: dataset for dataset in (REFUSED, TAKEN)}
COLUMNS = list(TAKEN.columns)
LIMITS = Limits(3, 4096)

SIGNS = st.text("=+-@'\t\r\n\"\\,;a \0\ufeff\u2028é😀", max_size=9)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20) | SIGNS | st.builds("'{}".format, SIGNS)
ROW = st.tuples(TEXT, TEXT, st.just("no"), st.lists(TEXT, max_size=2)).map(lambda row: [*row[:3], *row[3]])
ROWS = st.lists(ROW, min_size=1, max_size=7)


def blocks(data: bytes, dataset: Dataset, numbered: bool) -> list[RowBlock]:
    with TemporaryDirectory() as folder:
        (Path(folder) / "f.csv").write_bytes(data)
        plan = ReadFile(
            job_id="j", epoch=0, command_offset=0, partitions=8, run=int(numbered), dataset=dataset.name,
            numbered=numbered, source=Source(path="f.csv"),
        )  # fmt: skip
        around = SourceContext(DATASETS, Roots(Path(folder)), LIMITS)
        if numbered:
            wrong = RowSet()
            for row in range(1, 100):
                wrong.add(row)
            header = corrected_header(Path(folder) / "f.csv", dataset, Options())
            assert rows_problem(Path(folder) / "f.csv", header, wrong, LIMITS) is None
        steps = [step for step in block_source(plan, Input(), around) if step]
        return [decode(encode(step.block), RowBlock) for step in steps]  # type: ignore[union-attr]


def refused(found: list[RowBlock], raw: bool) -> list[RowError]:
    checked = [row_checker(REFUSED, tuple(block.columns)).check(block, "o", 0, raw) for block in found]
    assert not [number for rows in checked for number in rows.numbers]
    return [error for rows in checked for error in rows.errors]


def stored(found: list[RowBlock], raw: bool) -> dict[int, tuple[Any, ...]]:
    """Row number -> what `TAKEN` stores of it; the other rows as their text, which is what they are refused with."""
    rows: dict[int, tuple[Any, ...]] = {}
    for block in found:
        checked = row_checker(TAKEN, tuple(block.columns)).check(block, "o", 0, raw)
        rows.update(zip(checked.numbers, checked.values, strict=True))
        rows.update({error.row: (error.reason,) for error in checked.errors})
    return rows


def errors_csv(errors: list[RowError], raw: bool) -> bytes:
    documents = [msgspec.json.decode(encode(error)) for error in errors]
    lines = [csv_row(document, COLUMNS, raw) for document in documents]
    return csv_lines([[*COLUMNS, *ERROR_COLUMNS], *lines])


def written(rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([COLUMNS, *rows])
    return text.getvalue().encode()


@pytest.mark.parametrize("raw", [False, True])
@given(rows=ROWS)
@example(rows=[["'=x", "''=x", "no"], ["=x", "'x", "no", "=surplus", "'=surplus"]])
@settings(max_examples=60)
def test_what_comes_of_a_file_comes_again_of_its_row_errors(raw: bool, rows: list[list[str]]) -> None:
    first = blocks(written(rows), REFUSED, numbered=False)
    errors = refused(first, raw)
    assert [error.row for error in errors] == list(range(1, len(rows) + 1))
    data = errors_csv(errors, raw)
    if not raw:
        cells = [cell for row in csv.reader(io.StringIO(data.decode(), newline="")) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    again = blocks(data, REFUSED, numbered=True)
    assert errors_csv(refused(again, raw), raw) == data, "rows that are sent uncorrected are refused as before"
    assert stored(again, raw) == stored(first, raw)


@given(rows=ROWS)
@settings(max_examples=30)
def test_rows_of_a_topic_carry_no_guard_and_come_back_as_well(rows: list[list[str]]) -> None:
    first = [RowBlock(job_id="j", block=0, first_row=1, columns=COLUMNS, rows=rows)]
    data = errors_csv(refused(first, False), False)
    again = blocks(data, REFUSED, numbered=True)
    assert stored(again, False) == stored(first, False)
    assert errors_csv(refused(again, False), False) == data


@pytest.mark.parametrize(
    ("filler", "delimiter"),
    [(b'x"', b","), (b"\xff", b","), (b"x,", b";"), (b"=,", b";"), (b'=";', b";"), (b"=,;", b";"), (b"'", b",")],
)
def test_a_row_as_long_as_rows_may_be_can_be_sent_again(filler: bytes, delimiter: bytes) -> None:
    filling = (filler * LIMITS.bytes)[: LIMITS.bytes - 20]
    surplus = [filling] if delimiter in filler else []  # then it is many values
    row = delimiter.join([b"a" if surplus else filling, b"b", b"no", *surplus])
    header = delimiter.join(column.encode() for column in COLUMNS)
    (error,) = refused(blocks(header + b"\n" + row + b"\n", REFUSED, numbered=False), False)
    data = errors_csv([error], False)
    assert "bytes, which is the most" not in error.reason
    assert len(data) > LIMITS.bytes
    (block,) = blocks(data, REFUSED, numbered=True)
    assert [unguard(value) for value in block.rows[0]] == [unguard(value) for value in error.values]


CUT_OFF = st.sampled_from(
    [b"x", b"y,", b'"', b'"5" pipe"', b"M\xfcller", b"\xff", b",", b"\n", b'"a\nb"c', b"\r\n", b"'=1", b"L" * 9000]
)


def checked(found: list[RowBlock], raw: bool) -> tuple[list[RowError], dict[int, tuple[Any, ...]]]:
    """The row errors, and what is stored: `TAKEN` refuses no value, so all of its row errors are misfits."""
    errors: list[RowError] = []
    rows: dict[int, tuple[Any, ...]] = {}
    for block in found:
        one = row_checker(TAKEN, tuple(block.columns)).check(block, "o", 0, raw)
        errors += one.errors
        rows.update(zip(one.numbers, one.values, strict=True))
    return errors, rows


def cells_of(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def rewritten(rows: list[list[str]], line_end: str = "\n") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end).writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize("numbered", [True, False])
@given(st.lists(CUT_OFF, min_size=1, max_size=12).map(b"".join), st.booleans())
@example(b"x,y\n", False)
@example(b"M\xfcller,y,z\nM\xc3\xbcller,y,z\n", False)
@example(b'x,"5" pipe",z\n', False)
@example(b'x,"y\nx2"y2,z2\n', False)
@example(b"x," + b"y" * 9000 + b",z\n", False)
@settings(max_examples=60, deadline=None)
def test_a_row_that_was_not_read_is_refused_again_until_its_cells_are_changed(
    numbered: bool, rows: bytes, raw: bool
) -> None:
    """Sent to the same job or as a new one, also as a spreadsheet writes it; its values alone would be taken."""
    try:
        first, _ = checked(blocks(b"a,b,bad\n" + rows, TAKEN, numbered=False), raw)
    except SourceError:
        return  # a quote that is not closed
    if not first:
        return
    sheet = cells_of(errors_csv(first, raw))
    width = len(sheet[0])
    turned = [[*row[width - 1 :: -1], *row[width:]] for row in sheet]
    for sent in (sheet, turned, [[cell.replace("\r\n", "\n") for cell in row] for row in sheet]):
        errors, taken = checked(blocks(rewritten(sent), TAKEN, numbered), raw)
        assert (taken, [error.reason for error in errors]) == ({}, [error.reason for error in first])
        if sent is sheet:
            again = cells_of(errors_csv(errors, raw))
            assert [row[: len(COLUMNS)] for row in again] == [row[: len(COLUMNS)] for row in sheet]
            assert [row[width - 1] for row in again] == [row[width - 1] for row in sheet]
    for place in range(len(COLUMNS)):
        edited = [sheet[0], *([*row[:place], f"{row[place]}!", *row[place + 1 : width]] for row in sheet[1:])]
        errors, taken = checked(blocks(rewritten(edited), TAKEN, numbered), raw)
        assert (errors, len(taken)) == ([], len(first))
    cleared = [sheet[0], *([*row[: width - 1], ""] for row in sheet[1:])]
    errors, taken = checked(blocks(rewritten(cleared), TAKEN, numbered), raw)
    assert (errors, len(taken)) == ([], len(first)), "as it stands, if that is what its sender wants"
