"""Whatever a column stores, an export writes so that the column reads it as the same value again."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from processor.operations.csv_cells import documents
from processor.validation.columns import BadValueError, compile_column
from processor.validation.parsing import UNAMBIGUOUS
from schemas.descriptors.fields import Field, parse_field
from schemas.descriptors.formulas import unguard
from tests.support.strategies.values import CELLS, COLUMNS, TEXTS

CHECKS = [compile_column(field) for field in COLUMNS.fields]
ANY = next(number for number, field in enumerate(COLUMNS.fields) if (field.type, field.format) == ("datetime", "any"))


def written(number: int, value: Any, raw: bool) -> str:
    """The cell that an export has for a value of a column."""
    source = {**dict.fromkeys(COLUMNS.columns), COLUMNS.columns[number]: value}
    reader = documents(COLUMNS)
    page = reader.read(json.dumps({"hits": {"hits": [{"_source": source, "sort": [1]}]}}).encode())
    (row,) = csv.reader(io.StringIO(b"".join(reader.lines(page, raw)).decode(), newline=""))
    return row[number] if raw else unguard(row[number])


EVERYWHERE = st.lists(TEXTS, max_size=2).map(lambda texts: [(at, text) for text in texts for at in range(len(CHECKS))])


@effort(max_examples=400)
@given(st.lists(CELLS, min_size=5, max_size=20) | EVERYWHERE, st.booleans())
@example([(at, "0001-01-01T00:00:00+18:00") for at in range(len(CHECKS))], False)
def test_what_is_stored_is_written_so_that_it_is_read_as_the_same(cells: list[tuple[int, str]], raw: bool) -> None:
    for number, text in cells:
        column = CHECKS[number]
        try:
            value = column.explain(text)
        except BadValueError:
            assert column.fast([text]) is None, (COLUMNS.fields[number], text)
            continue
        assert list(column.fast([text]) or ()) == [value], (COLUMNS.fields[number], text)
        again = written(number, value, raw)
        found = column.explain(again)
        assert (found, str(found)) == (value, str(value)), (COLUMNS.fields[number], text, again)


@pytest.mark.parametrize("pattern", UNAMBIGUOUS)
def test_every_way_of_format_any_is_stored_in_the_one_way(pattern: str) -> None:
    value = CHECKS[ANY].explain(datetime(2026, 1, 31, tzinfo=UTC).strftime(pattern))
    assert value.startswith("2026-01-31T00:00:00") and CHECKS[ANY].explain(value) == value


@pytest.mark.parametrize("offset", ["+18:01", "-19:00", "+23:59", "+01:75", "+0175", "+01:00:30"])
@pytest.mark.parametrize("pattern", ["default", "any", "%Y-%m-%dT%H:%M:%S%z"])
def test_an_offset_that_no_clock_has_is_a_row_error(pattern: str, offset: str) -> None:
    column = compile_column(Field("at", "datetime", format=pattern))
    with pytest.raises(BadValueError):
        column.explain(f"2026-01-31T10:20:30{offset}")
    assert column.explain("2026-01-31T10:20:30+18:00") == "2026-01-31T10:20:30+18:00"


@pytest.mark.parametrize("text", ["00", "+0", "-0", "0"])
def test_other_texts_for_a_missing_number_are_missing_too(text: str) -> None:
    item = {"name": "stock", "type": "integer", "missingValues": ["", "0"]}
    assert compile_column(parse_field("shop", item)).explain(text) is None
    required = compile_column(parse_field("shop", {**item, "constraints": {"required": True}}))
    assert required.fast([text]) is None
    with pytest.raises(BadValueError, match="stands for no value"):
        required.explain(text)


@pytest.mark.parametrize("pattern", ["(?i)abc", "abc|ABC", "(?x) [aA] bc|ABC # either"])
def test_a_pattern_is_the_whole_texts_whatever_flags_it_begins_with(pattern: str) -> None:
    column = compile_column(parse_field("shop", {"name": "x", "constraints": {"pattern": pattern}}))
    assert column.explain("ABC") == "ABC" and column.fast(["ABC"]) is not None
    for text in ("ABCd", "ABC\n"):
        with pytest.raises(BadValueError):
            column.explain(text)


def test_a_long_text_around_no_number_takes_no_longer_than_its_length_asks_for() -> None:
    column = compile_column(Field("price", "number", bare_number=False))
    began = time.process_time()
    with pytest.raises(BadValueError):
        column.explain("x" * 32_000)
    assert time.process_time() - began < 1
