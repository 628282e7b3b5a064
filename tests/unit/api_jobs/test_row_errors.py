"""``errors.csv``: the file's own columns as they were, and what is wrong beside them; fit to be sent again."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import Any, cast

import pytest

from api.elastic.documents import Documents
from api.jobs.reading.row_errors import csv_pages, error_page
from csvfile.header import read_header
from runtime.datasets import load_datasets
from schemas.descriptors.datasets import ERROR_COLUMNS

PEOPLE = load_datasets()["people"]
COLUMNS = ["email", "name", "phone", "country", "favorite_color", "created_at"]
VALUES = ["=1+1", 'Ann "A", Lee', "+1 555 0100", "two\r\nlines", "", "2026-01-01"]
GUARDED = ["'=1+1", VALUES[1], "'+1 555 0100", *VALUES[3:]]


class StubIndex:
    """The index ``errors``, in pages."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.documents = documents
        self.indices = self
        self.asked: list[Any] = []

    async def refresh(self, **_: Any) -> None: ...

    async def search(self, *, size: int, search_after: list[int] | None, **_: Any) -> Any:
        self.asked.append(search_after)
        after = search_after[0] if search_after else 0
        found = [{"_source": one, "sort": [one["row"]]} for one in self.documents if one["row"] > after][:size]
        return {"hits": {"hits": found, "total": {"value": len(self.documents)}}}


def error(row: int, values: list[str] = VALUES, columns: list[str] = COLUMNS) -> dict[str, Any]:
    return {
        "row": row,
        "line": row + 1,
        "column": "email",
        "reason": "no, really",
        "columns": columns,
        "values": values,
    }


def errors_csv(*documents: dict[str, Any], raw: bool = False) -> tuple[bytes, list[list[str]]]:
    async def whole() -> bytes:
        pages = csv_pages(Documents(cast(Any, StubIndex(*documents))), "sluice-errors", "j1", PEOPLE.columns, raw)
        return b"".join([page async for page in pages])

    data = asyncio.run(whole())
    return data, list(csv.reader(io.StringIO(data.decode(), newline="")))


def test_the_files_own_columns_come_first_fit_for_a_spreadsheet() -> None:
    _, (header, row) = errors_csv(error(7))
    assert header == [*COLUMNS, *ERROR_COLUMNS]
    assert row == [*GUARDED, "7", "8", "email", "no, really"]


def test_of_a_raw_job_it_has_exactly_the_values_of_the_file() -> None:
    _, (_, row) = errors_csv({**error(7), "reason": "-x is no number"}, raw=True)
    assert row == [*VALUES, "7", "8", "email", "-x is no number"]


def test_what_is_guarded_already_is_not_guarded_twice_and_the_reason_is_no_formula() -> None:
    _, (_, row) = errors_csv({**error(7, GUARDED), "guarded": True, "column": "=c", "reason": "=c is required"})
    assert row == [*GUARDED, "7", "8", "'=c", "'=c is required"]


def test_it_is_a_file_that_an_upload_takes() -> None:
    data, _ = errors_csv(error(7))
    assert read_header(data, True, PEOPLE).columns == (*COLUMNS, *ERROR_COLUMNS)


def test_a_row_with_too_few_or_too_many_values_stays_in_its_columns() -> None:
    _, (_, short, long) = errors_csv(error(1, VALUES[:2]), error(2, [*VALUES, "more"]))
    assert short == [*GUARDED[:2], "", "", "", "", "1", "2", "email", "no, really"]
    assert long == [*GUARDED, "2", "3", "email", "no, really", "more"]


def test_of_a_file_that_was_an_errors_csv_only_the_own_columns_are_kept() -> None:
    columns = ["sluice_row", *COLUMNS, "sluice_reason"]
    _, (header, row) = errors_csv(error(3, ["900", *VALUES, "old"], columns))
    assert header == [*COLUMNS, *ERROR_COLUMNS]
    assert row == [*GUARDED, "3", "4", "email", "no, really"]


def test_without_errors_it_has_the_datasets_columns() -> None:
    _, (header,) = errors_csv()
    assert header == [*PEOPLE.columns, *ERROR_COLUMNS]


@pytest.mark.parametrize(("rows", "limit", "pages"), [(1, 1, 1), (4, 2, 2), (5, 2, 3), (0, 3, 1)])
def test_the_last_page_names_no_next_one(rows: int, limit: int, pages: int) -> None:
    async def told() -> list[tuple[int, int | None]]:
        documents = Documents(cast(Any, StubIndex(*(error(row) for row in range(1, rows + 1)))))
        after: int | None = None
        found: list[tuple[int, int | None]] = []
        while not found or after is not None:
            page = await error_page(documents, "sluice-errors", "j1", limit, after)
            after = page.next
            found.append((len(page.errors), after))
        return found

    found = asyncio.run(told())
    assert (len(found), sum(shown for shown, _ in found)) == (pages, rows)


def test_pages_follow_one_another_by_row() -> None:
    _, (_, *rows) = errors_csv(*(error(row) for row in range(1, 4502)))
    assert [int(row[6]) for row in rows] == list(range(1, 4502))
