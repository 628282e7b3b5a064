"""What an export writes opens in a spreadsheet without running a formula, and an upload reads it as it was."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvfile.cutter import Limits, Place, cut
from processor.operations.csv_cells import documents
from processor.validation.rows import row_checker
from runtime.datasets import load_datasets
from schemas.descriptors.datasets import parse_dataset
from schemas.descriptors.formulas import guard, unguard
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import decode

RISKY = ("=", "+", "-", "@", "\t", "\r")
THINGS = parse_dataset(
    "things",
    {
        "fields": [
            {"name": "text"},
            {"name": "note", "type": "any"},
            {"name": "whole", "type": "integer"},
            {"name": "number", "type": "number"},
            {"name": "flag", "type": "boolean"},
            {"name": "day", "type": "date"},
            {"name": "at", "type": "datetime"},
            {"name": "price", "type": "number", "decimalChar": ",", "groupChar": "."},
            {"name": "new", "type": "boolean", "trueValues": ["+", "yes"], "falseValues": ["-", "no"]},
            {"name": "listed", "type": "date", "format": "%d/%m/%Y"},
        ],
        "sluice": {"date_field": "at"},
    },
)
ODD = st.text("=+-@'\t\r\n\",;a1", max_size=9)
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.builds(
    "{}{}{}".format, st.sampled_from(["", "'", "''"]), st.sampled_from([*RISKY, "s"]), ODD
)
DOCUMENTS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | TEXT,
            "note": st.none() | TEXT,
            "whole": st.none() | st.integers(-(10**18) + 1, 10**18 - 1),
            "number": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "flag": st.none() | st.booleans(),
            "day": st.none() | st.dates().map(lambda day: day.isoformat()),
            "at": st.datetimes().map(lambda at: at.isoformat() + "Z"),
            "price": st.none() | st.floats(-1e9, 1e9, allow_nan=False),
            "new": st.none() | st.booleans(),
            "listed": st.none() | st.dates(date(1900, 1, 1)).map(lambda day: day.isoformat()),
        }
    ),
    min_size=1,
    max_size=8,
)


def exported(rows: list[dict[str, Any]], raw: bool) -> bytes:
    sources = [{**row, "sluice": {"job_id": "j"}} for row in rows]
    hits = [{"_id": "x", "_source": source, "sort": [1, "j", number]} for number, source in enumerate(sources)]
    reader = documents(THINGS)
    page = reader.read(json.dumps({"took": 1, "hits": {"hits": hits}}).encode())
    assert (len(page.documents), page.end) == (len(rows), [1, "j", len(rows) - 1])
    return reader.header() + b"".join(reader.lines(page, raw))


def uploaded(data: bytes, raw: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    header = data.index(b"\n") + 1
    for part in cut(iter([data[header:]]), Place(header, 1), b",", Limits(500, 64 * 1024)):
        if part is None:
            continue
        rows = decode(part.rows_json, list[list[str]])
        guarded = b"\"'" in part.rows_json
        block = RowBlock(job_id="j", block=0, first_row=1, columns=list(THINGS.columns), rows=rows, guarded=guarded)
        checked = row_checker(THINGS, THINGS.columns).check(block, "o", 0, raw)
        assert not checked.errors and not part.unreadable, (checked.errors, part.unreadable)
        found += [dict(zip(checked.columns, values, strict=True)) for values in checked.values]
    return found


@pytest.mark.parametrize("raw", [False, True])
@given(rows=DOCUMENTS)
def test_an_upload_reads_what_an_export_wrote(raw: bool, rows: list[dict[str, Any]]) -> None:
    assert uploaded(exported(rows, raw), raw) == rows


@given(rows=DOCUMENTS)
def test_no_cell_is_a_formula(rows: list[dict[str, Any]]) -> None:
    cells = [cell for row in csv.reader(io.StringIO(exported(rows, False).decode(), newline="")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(RISKY)]


@given(TEXT)
def test_every_cell_comes_back(cell: str) -> None:
    assert unguard(guard(cell)) == cell
    assert not guard(cell).startswith(RISKY)


@pytest.mark.parametrize("cell", ["", "'s-Hertogenbosch", "'", "''", "O'Neil", "a=b", " =1", "1-2"])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert guard(cell) == unguard(cell) == cell


def test_a_phone_number_is_guarded_and_read_again() -> None:
    assert guard("+4912345") == "'+4912345"
    people = load_datasets()["people"]
    row = ["Ada", "ada@example.org", "'+4912345", "Germany", "", "2026-01-01"]
    block = RowBlock(job_id="j", block=0, first_row=1, columns=list(people.columns), rows=[row], guarded=True)
    checker = row_checker(people, people.columns)
    assert checker.check(block, "o", 0).values[0][2] == "+4912345"
    (error,) = checker.check(block, "o", 0, raw=True).errors
    assert (error.column, error.values) == ("phone", row)
