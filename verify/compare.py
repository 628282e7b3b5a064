"""Compares the rows of a file with the documents in Elasticsearch, independently of the counts in a job's state.

For an upload: every row is a document or a row error. For an export: every document is a row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch

from runtime.clients import elasticsearch
from runtime.datasets import load_datasets
from runtime.settings import Settings
from schemas.descriptors.datasets import ERROR_COLUMNS
from schemas.descriptors.formulas import guard, unguard
from schemas.generations import data_indices
from schemas.indices import index_name

PAGE_ROWS = 5000


@dataclass(slots=True)
class Verdict:
    """The differences between a file's rows and the documents and row errors of the job that read it."""

    rows: int = 0
    documents: int = 0
    errors: int = 0
    missing: list[int] = field(default_factory=list)
    """Rows with neither a document nor a row error."""
    doubled: list[int] = field(default_factory=list)
    """Rows with more than one of them."""
    different: list[int] = field(default_factory=list)
    """Rows whose document has other values than the file."""

    @property
    def holds(self) -> bool:
        """Whether every row is stored once, with the file's values, and there are no other documents."""
        counted = self.documents + self.errors == self.rows
        return counted and not (self.missing or self.doubled or self.different)

    def __str__(self) -> str:
        found = f"{self.rows:,} rows in the file, {self.documents:,} documents, {self.errors:,} row errors"
        bad = {"missing": self.missing, "doubled": self.doubled, "different": self.different}
        return "; ".join([found, *(f"{name}: rows {rows[:5]}" for name, rows in bad.items() if rows)])


def compare(settings: Settings, job_id: str, dataset: str, file: Path, index: str | None = None) -> Verdict:
    """Compare a UTF-8 CSV file, row by row and value by value, with what Elasticsearch has of a job that has ended.

    `index`: where its documents are; None: in the dataset's.
    """
    with elasticsearch(settings) as client:
        documents = _by_row(
            client, index or data_indices(settings.prefix, dataset), "sluice.job_id", "sluice.row_number", job_id
        )
        errors = _by_row(client, index_name(settings.prefix, "errors"), "job_id", "row", job_id)
        verdict = Verdict()
        document, error = next(documents, None), next(errors, None)
        with file.open(encoding="utf-8-sig", newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines), start=1):
                verdict.rows += 1
                found = 0
                while document is not None and document[0] <= number:
                    found += document[0] == number
                    verdict.documents += 1
                    if document[0] == number and not _same(document[1], row):
                        verdict.different.append(number)
                    document = next(documents, None)
                while error is not None and error[0] <= number:
                    found += error[0] == number
                    verdict.errors += 1
                    error = next(errors, None)
                if found != 1:
                    (verdict.doubled if found else verdict.missing).append(number)
        verdict.documents += (document is not None) + sum(1 for _ in documents)
        verdict.errors += (error is not None) + sum(1 for _ in errors)
    return verdict


def _same(document: dict[str, Any], row: dict[str, str]) -> bool:
    stored = {name: "" if value is None else str(value) for name, value in document.items() if name != "sluice"}
    return stored == {name: unguard(value) for name, value in row.items() if name not in ERROR_COLUMNS}


def _by_row(client: Elasticsearch, index: str, job: str, row: str, job_id: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """A job's documents in an index, in the order of their row numbers."""
    client.indices.refresh(index=index)
    pit = client.open_point_in_time(index=index, keep_alive="1m")["id"]
    after: list[Any] | None = None
    try:
        while True:
            page = client.search(
                pit={"id": pit, "keep_alive": "1m"},
                query={"term": {job: job_id}},
                sort=[{row: "asc"}],
                size=PAGE_ROWS,
                search_after=after,
                track_total_hits=False,
            )["hits"]["hits"]
            for hit in page:
                yield int(hit["sort"][0]), hit["_source"]
            if len(page) < PAGE_ROWS:
                return
            after = page[-1]["sort"]
    finally:
        client.close_point_in_time(id=pit)


@dataclass(slots=True)
class ExportVerdict:
    """The differences between an exported file and the documents of an organisation and a range of days."""

    rows: int = 0
    documents: int = 0
    different: list[int] = field(default_factory=list)
    """Rows of the file that differ from the document at the same place."""

    @property
    def holds(self) -> bool:
        """Whether the file has every document once, in the order of the dates, and no other rows."""
        return self.rows == self.documents and not self.different

    def __str__(self) -> str:
        found = f"{self.rows:,} rows in the file, {self.documents:,} documents"
        return found + (f"; different: rows {self.different[:5]}" if self.different else "")


def compare_export(
    settings: Settings, file: Path, dataset: str, organisation: str, first: str, last: str | None
) -> ExportVerdict:
    """Compare an exported file, row by row and value by value, with what Elasticsearch has now.

    `first` and `last` are days (YYYY-MM-DD), both included.
    """
    described = load_datasets(settings.datasets_folder)[dataset]
    verdict = ExportVerdict()
    days: dict[str, Any] = {"gte": first} | ({"lte": f"{last}||/d"} if last else {})
    conditions = [{"term": {"sluice.organisation": organisation}}, {"range": {str(described.date_field): days}}]
    order = [str(described.date_field), "sluice.job_id", "sluice.row_number"]
    with elasticsearch(settings) as client, file.open(encoding="utf-8", newline="") as lines:
        reader = csv.reader(lines)
        assert tuple(next(reader)) == described.columns
        index = data_indices(settings.prefix, dataset)
        for document in _in_order(client, index, {"bool": {"filter": conditions}}, order):
            verdict.documents += 1
            row = next(reader, None)
            verdict.rows += row is not None
            if row != [_cell(document.get(name)) for name in described.columns]:
                verdict.different.append(verdict.documents)
        verdict.rows += sum(1 for _ in reader)
    return verdict


def _cell(value: Any) -> str:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return guard(text)


def _in_order(client: Elasticsearch, index: str, query: dict[str, Any], order: list[str]) -> Iterator[dict[str, Any]]:
    client.indices.refresh(index=index)
    after: list[Any] | None = None
    while True:
        sort = [{name: "asc"} for name in order]
        page = client.search(index=index, query=query, sort=sort, size=PAGE_ROWS, search_after=after)["hits"]["hits"]
        yield from (hit["_source"] for hit in page)
        if len(page) < PAGE_ROWS:
            return
        after = page[-1]["sort"]
