"""How many rows a second one process checks against their dataset: no server, the blocks ready in memory."""

from __future__ import annotations

import csv
import io
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from processor.validation.rows import RowChecker
from runtime.datasets import load_datasets
from sample_csv.accidents import swap_columns
from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes
from schemas.messages.blocks import RowBlock

BAR = 150_000
BLOCK_ROWS = 500
ONE_IN = 20
"""In a file with 5% bad rows, one row in this many has swapped columns."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; the rate is the median of the rounds."""

    bad_percent: int
    rows_per_second: float
    errors: int


def measure(rows: int, rounds: int) -> list[Figure]:
    """Check people: all of them good, one in twenty bad, all of them bad."""
    header, *good = _table(generate_bytes(Dataset.PEOPLE, rows, 7))
    bad = _table(swap_columns(generate_bytes(Dataset.PEOPLE, rows, 7), "email", "phone"))[1:]
    mixed = [bad[at] if at % ONE_IN == 0 else row for at, row in enumerate(good)]
    checker = RowChecker(load_datasets()["people"], header)
    files = ((0, list(_blocks(header, good))), (5, list(_blocks(header, mixed))), (100, list(_blocks(header, bad))))
    figures = []
    for percent, blocks in files:
        rates, errors = [], 0
        for _ in range(rounds):
            began = time.perf_counter()
            errors = sum(len(checker.check(block, "bench", 0).errors) for block in blocks)
            rates.append(rows / (time.perf_counter() - began))
        assert abs(errors * 100 - percent * rows) < 100 * ONE_IN, "the checks found other errors than were made"
        figures.append(Figure(percent, statistics.median(rates), errors))
    return figures


def _table(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def _blocks(header: list[str], rows: list[list[str]]) -> Iterator[RowBlock]:
    for at in range(0, len(rows), BLOCK_ROWS):
        yield RowBlock(
            job_id="bench",
            block=at // BLOCK_ROWS,
            first_row=at + 1,
            columns=header,
            rows=rows[at : at + BLOCK_ROWS],
            first_line=at + 2,
        )
