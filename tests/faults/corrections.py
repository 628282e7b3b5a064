"""Row errors as a file, corrected, and sent again."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import httpx2

from tests.conftest import People
from tests.faults.bad_rows import spoil
from tests.faults.evidence import documents
from tests.support.processes.cluster import Cluster

ROWS = 3000


def job_with_errors(cluster: Cluster, people: People, organisation: str, folder: Path, bad: list[int]) -> str:
    file = folder / "spoilt.csv"
    file.write_bytes(spoil(people(ROWS).read_bytes(), bad))
    job_id = cluster.upload(file, organisation)
    cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    return job_id


def errors_csv(cluster: Cluster, job_id: str) -> list[list[str]]:
    text = cluster.request("GET", f"/v1/jobs/{job_id}/errors.csv").text
    return list(csv.reader(io.StringIO(text, newline="")))


def as_csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def corrected(rows: list[list[str]], good: Path, leave: int = 0) -> bytes:
    """The errors.csv with the values of the good file, but for the first `leave` rows."""
    with good.open(encoding="utf-8", newline="") as lines:
        file = list(csv.reader(lines))
    number = rows[0].index("sluice_row")
    fixed = [file[int(row[number])] + row[len(file[0]) :] for row in rows[1 + leave :]]
    return as_csv([*rows[: 1 + leave], *fixed])


def retry(cluster: Cluster, job_id: str, content: bytes) -> httpx2.Response:
    files = {"file": ("errors.csv", content, "text/csv")}
    return cluster.request("POST", f"/v1/jobs/{job_id}/retry-errors", files=files)


def assert_all_stored(cluster: Cluster, job_id: str, good: Path) -> None:
    """Every row of the good file is a document of the job, under its number."""
    with good.open(encoding="utf-8", newline="") as lines:
        file = list(csv.DictReader(lines))
    found = documents(cluster.settings, job_id)
    assert found.keys() == {f"{job_id}:{row}" for row in range(1, len(file) + 1)}
    for row, values in enumerate(file, start=1):
        assert found[f"{job_id}:{row}"][2]["email"] == values["email"]


def counts(job: dict[str, Any]) -> tuple[int, int]:
    return job["progress"]["rows_applied"], job["progress"]["rows_failed"]
