"""Rows of a corrected errors.csv keep the numbers that they carry, and lose the columns that it added."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from csvfile.cutter import Limits
from ingest.blocks.files import Roots
from ingest.errors import SourceError
from ingest.sources import SourceContext, block_source
from runtime.datasets import load_datasets
from schemas.descriptors.datasets import ERROR_COLUMNS
from schemas.job import Input, Source
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import decode, encode
from schemas.messages.plans import ReadFile

PEOPLE = load_datasets()["people"]
VALUES = ["Ann", "ann@example.org", "+1 555 0100", "Chile", "two\r\nlines", "2026-01-01"]


def blocks(folder: Path, header: list[str], *rows: list[str]) -> list[RowBlock]:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    (folder / "retry.csv").write_bytes(text.getvalue().encode())
    plan = ReadFile(
        job_id="j", epoch=3, command_offset=9, partitions=8, run=1, dataset="people", numbered=True,
        source=Source(path="retry.csv"),
    )  # fmt: skip
    around = SourceContext(load_datasets(), Roots(folder), Limits(2, 4096))
    found = [decode(encode(step.block), RowBlock) for step in block_source(plan, Input(), around) if step]
    assert [block.block for block in found] == list(range(len(found)))
    return found


def test_each_row_has_its_number_its_line_and_its_own_columns(tmp_path: Path) -> None:
    header = [ERROR_COLUMNS[0], *PEOPLE.columns, *ERROR_COLUMNS[1:]]
    rows = [[str(row), *VALUES, str(row + 1), "email", "bad"] for row in (90, 7, 3000)]
    first, second = blocks(tmp_path, header, *rows)
    assert (first.run, first.first_row, first.numbers, first.lines) == (1, 90, [90, 7], [91, 8])
    assert (first.columns, first.rows, first.last_row) == (list(PEOPLE.columns), [VALUES, VALUES], 90)
    assert (second.numbers, second.line_of(0)) == ([3000], 3001)


def test_a_row_with_values_too_many_keeps_them_to_be_refused(tmp_path: Path) -> None:
    (block,) = blocks(tmp_path, [*PEOPLE.columns, ERROR_COLUMNS[0]], [*VALUES, "5", "more"])
    assert (block.numbers, block.rows, block.first_line) == ([5], [[*VALUES, "more"]], 0)


@pytest.mark.parametrize("number", ["", "0", "-1", "seven", "1.0"])
def test_a_row_without_a_number_stops_the_reading(tmp_path: Path, number: str) -> None:
    with pytest.raises(SourceError, match="line 2 has no row number"):
        blocks(tmp_path, [*PEOPLE.columns, ERROR_COLUMNS[0]], [*VALUES, number])
