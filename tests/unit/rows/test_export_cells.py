"""What an export writes opens in a spreadsheet without running a formula, and an upload reads it as it was.

What it reads comes in answers of some megabytes.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvfile.cutter import Limits, Place, cut
from processor.errors import CannotGoOnError
from processor.operations import export as export_module
from processor.operations.csv_cells import documents
from processor.validation.rows import row_checker
from runtime.datasets import load_datasets
from schemas.descriptors.datasets import parse_dataset
from schemas.descriptors.formulas import guard, unguard
from schemas.messages.blocks import RowBlock, SliceBlock, Span
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
    hits = [
        {"_index": "data", "_id": f"x{number}", "_source": source, "sort": [1, "j", number]}
        for number, source in enumerate(sources)
    ]
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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
    | st.sampled_from(["true", "false", "", "5", "-5", "+1.5", "2026", "2026-01-01", "2026-01-01T10:00:00Z", "\ud800"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)  # fmt: skip


UNWRITABLE = re.compile(
    r"document '(.*)' of index data has in field '(.*)' (?:a list|an object|a text|a truth value|a number) that "
    r"can't be written as [a-z]+: another program has written it. Mend the document, and start the export again"
)


@pytest.mark.parametrize("raw", [False, True])
@given(rows=DOCUMENTS, field=st.sampled_from(THINGS.columns), value=JSON, place=st.integers(0, 9))
def test_a_document_of_another_program_is_written_or_named(
    raw: bool, rows: list[dict[str, Any]], field: str, value: Any, place: int
) -> None:
    """Whatever it has: no list and no object gets into a cell, and the others are as they were."""
    place = min(place, len(rows))
    mixed = [*rows[:place], {field: value}, *rows[place:]]
    try:
        written = list(csv.reader(io.StringIO(exported(mixed, raw).decode(), newline="")))
    except CannotGoOnError as error:
        assert UNWRITABLE.fullmatch(str(error)).groups() == (f"x{place}", field)  # type: ignore[union-attr]
        return
    assert value is None or isinstance(value, bool | int | float | str)
    own = written.pop(1 + place)
    assert [cell for name, cell in zip(THINGS.columns, own, strict=True) if name != field and cell] == []
    assert uploaded(exported(rows, raw), raw) == rows
    assert written == list(csv.reader(io.StringIO(exported(rows, raw).decode(), newline="")))
    cell = own[THINGS.columns.index(field)]
    if field == "text" and value is not None:
        expected = value if isinstance(value, str) else json.dumps(value)
        assert (cell if raw else unguard(cell)) == (expected if raw else unguard(guard(expected)))


@pytest.mark.parametrize(
    ("field", "value", "cell"),
    [
        ("text", 5, "5"), ("text", True, "true"), ("text", -1.5, "'-1.5"), ("whole", "7", "7"), ("whole", "-7", "'-7"),
        ("price", "1.5", "1,5"), ("new", "true", "'+"), ("new", "false", "'-"), ("flag", "true", "true"),
        ("listed", "2026-03-01", "01/03/2026"), ("day", 2026, "2026"),
    ],
)  # fmt: skip
def test_what_elasticsearch_takes_for_a_value_of_the_field_is_written_as_one(field: str, value: Any, cell: str) -> None:
    (_, row) = csv.reader(io.StringIO(exported([{field: value}], False).decode(), newline=""))
    assert row[THINGS.columns.index(field)] == cell


class Stored:
    """Jobs' documents, as a point in time gives them out; notes how long each answer was."""

    def __init__(self, **lengths: int) -> None:
        self.lengths = lengths
        self.answers: list[tuple[str, int, int]] = []
        """Job, documents and bytes of each answer."""

    async def search(self, *, pit: Any, size: int, search_after: Any, **_: Any) -> Any:
        await asyncio.sleep(0)
        first = search_after[0] + 1 if search_after else 1
        hits = [
            {"_source": {"text": "x" * self.lengths[pit["id"]], "whole": number}, "sort": [number]}
            for number in range(first, first + size)
        ]
        body = json.dumps({"hits": {"hits": hits}}).encode()
        self.answers.append((pit["id"], size, len(body)))
        return SimpleNamespace(body=body)


def test_an_answer_is_as_large_as_others_however_long_a_jobs_documents_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "PAGE_BYTES", 100_000)
    stored = Stored(short=10, long=5_000)
    export = export_module.Export(cast(Any, None), cast(Any, stored))

    async def ask(request: Any, gate: Any) -> Any:
        return await request()

    async def slice_of(name: str, first: int) -> bytes:
        job = SimpleNamespace(id=name, organisation="acme", epoch=1, options=SimpleNamespace(raw=False))
        sink = SimpleNamespace(ask=ask, on_degraded=lambda _: None)
        work: Any = SimpleNamespace(job=job, dataset=THINGS, sink=sink, gate=lambda: None)
        span = Span(since=0, till=9)
        block = SliceBlock(
            job_id=name, run=0, block=first, first_row=first, last_row=first + 1_999, frozen=name, span=span
        )
        return b"".join([chunk async for chunk in export._read(work, block)])

    async def run() -> list[bytes]:
        return await asyncio.gather(*(slice_of(name, 1) for name in ("short", "long") for _ in range(4)))

    for lines in asyncio.run(run()):
        assert [int(row[2]) for row in csv.reader(io.StringIO(lines.decode()))] == list(range(1, 2001))
    for name in stored.lengths:
        sizes = [(rows, size) for job, rows, size in stored.answers if job == name]
        assert sizes[0][0] == export_module.FIRST_ROWS
        assert all(size < 1.2 * 100_000 for _, size in sizes[1:])
    assert len([1 for job, rows, _ in stored.answers if job == "short"]) < 16, "few answers where documents are short"
