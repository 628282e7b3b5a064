"""Files whose columns are called otherwise, and what is stored of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sample_csv.datasets import Dataset, Style
from sample_csv.rows import generate_bytes
from tests.faults.corrections import as_csv
from tests.support.processes.cluster import Cluster
from verify.compare import compare


def legacy(folder: Path, rows: int) -> Path:
    """The dummy file of old, as `sluice sample people ROWS --style legacy` writes it."""
    file = folder / f"people-{rows}.csv"
    file.write_bytes(generate_bytes(Dataset.PEOPLE, rows, style=Style.LEGACY))
    return file


def with_notes(folder: Path, rows: int) -> Path:
    """The same with a column that no dataset has, without countries, and with a name for phones that nobody guesses."""
    with legacy(folder, rows).open(encoding="utf-8", newline="") as lines:
        found = list(csv.DictReader(lines))
    file = folder / "notes.csv"
    header = ["Notes", "Name", "Email", "Fone", "Favorite Color"]
    body = [
        [f"note {n}", row["Name"], row["Email"], row["Phone number"], row["Favorite Color"]]
        for n, row in enumerate(found)
    ]
    file.write_bytes(as_csv([header, *body]))
    return file


def as_stored(job: Mapping[str, Any], file: Path, **more: str) -> Path:
    """The file as the job should store it: its values under the names of fields, `more` in every row, and the time of
    the upload.
    """
    columns = job["source"]["columns"]
    uploaded = f"{job['created_at'][:19]}Z"
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    kept = [name for name, field in columns.items() if field]
    header = [*(columns[name] for name in kept), *more, "created_at"]
    expected = file.with_name(f"{job['id']}-expected.csv")
    expected.write_bytes(as_csv([header, *([*(row[name] for name in kept), *more.values(), uploaded] for row in rows)]))
    return expected


def assert_stored(cluster: Cluster, job_id: str, file: Path, **more: str) -> None:
    """Each row of the file is a document as `as_stored` says."""
    verdict = compare(cluster.settings, job_id, "people", as_stored(cluster.job(job_id), file, **more))
    assert verdict.holds, f"{verdict}\n{cluster.events(job_id)}"
