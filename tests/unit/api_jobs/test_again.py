"""Start and retry-errors over the stub, and the rows of a corrected errors.csv."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.jobs.creation.retry_file import RowSet, corrected_header, rows_problem
from csvfile.cutter import Limits
from csvfile.errors import CsvFileError
from runtime.datasets import load_datasets
from runtime.files.identity import identity_of
from runtime.files.shared_folder import MARKER
from schemas.job import Input, LaneTotals, Options
from schemas.messages.commands import CreateJob, InputEnded, LanesDone
from tests.support.api.stub import PEOPLE, ROW, StubLog, make_job, stub

LIMITS = Limits(500, 256 * 1024)
HEADER = PEOPLE.strip() + b",sluice_row\n"
LINE = ROW.strip()
Served = tuple[TestClient, StubLog, Path]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, log, tmp_path


def ended(served: Served, failed: int = 0, **options: Any) -> str:
    """A job that has completed, with so many row errors."""
    client, log, _ = served
    job_id: str = make_job(client, PEOPLE + ROW * 3, options=options).json()["id"]
    read = Input(blocks=1, rows=3, ended=True, blocks_per_partition=(1, 0))
    log.report(InputEnded(job_id=job_id, input=read))
    log.report(LanesDone(job_id=job_id, lanes={0: LaneTotals(rows_applied=3 - failed, rows_failed=failed, blocks=1)}))
    assert client.get(f"/v1/jobs/{job_id}").json()["state"].startswith("COMPLETED")
    return job_id


def spooled(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "storage").rglob("*") if path.is_file() and path.name != MARKER)


def test_a_start_makes_a_job_of_the_same_source_once(served: Served) -> None:
    client, _, folder = served
    dry_run = ended(served, dry_run=True)
    answer = client.post(f"/v1/jobs/{dry_run}/start", json={"reason": "looks right"})
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/jobs/{job['id']}")
    assert (job["state"], job["started_from"], job["options"]) == ("RUNNING", dry_run, {"if_same": "allow"})
    assert job["source"] == client.get(f"/v1/jobs/{dry_run}").json()["source"]
    again = client.post(f"/v1/jobs/{dry_run}/start")
    assert (again.status_code, again.json()["id"]) == (200, job["id"])
    assert spooled(folder) == ["people.csv"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"options": {"dry_run": True}}, "leave dry_run out"),
        ({"options": {"max_errors": "five"}}, "a percentage"),
        ({"keep_rows": True}, "fields: options, reason"),
    ],
)
def test_a_start_that_can_not_be_meant_is_refused(served: Served, body: dict[str, Any], words: str) -> None:
    client, log, _ = served
    dry_run = ended(served, dry_run=True)
    sent = len(log.sent)
    answer = client.post(f"/v1/jobs/{dry_run}/start", json=body)
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (400, True), answer.text
    assert len(log.sent) == sent


def test_a_start_takes_a_file_that_was_only_touched(served: Served) -> None:
    client, log, folder = served
    dry_run = ended(served, dry_run=True)
    (file,) = (folder / "storage").rglob("people.csv")
    made = next(command.source for command in log.sent if isinstance(command, CreateJob))
    assert made.identity == identity_of(file.stat()), "the identity is that of the file under its name"
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data[:-2] + b"X\n")
    assert "has changed since" in client.post(f"/v1/jobs/{dry_run}/start").text
    file.write_bytes(data)
    assert client.post(f"/v1/jobs/{dry_run}/start").status_code == 201


@pytest.mark.parametrize(("change", "words"), [("gone", "is not on the server any more"), ("cut", "has changed since")])
def test_a_start_without_its_file_says_what_to_do(served: Served, change: str, words: str) -> None:
    client, _, folder = served
    dry_run = ended(served, dry_run=True)
    (file,) = (folder / "storage").rglob("people.csv")
    file.unlink() if change == "gone" else file.write_bytes(PEOPLE)
    answer = client.post(f"/v1/jobs/{dry_run}/start")
    assert (answer.status_code, words in answer.text, "upload it again" in answer.text) == (409, True, True)


def test_only_a_dry_run_has_a_preview(served: Served) -> None:
    client, _, _ = served
    assert "no preview" in client.get(f"/v1/jobs/{ended(served)}/preview").json()["error"]["message"]
    answer = client.get(f"/v1/jobs/{ended(served, dry_run=True)}/preview")
    assert (answer.status_code, "Elasticsearch" in answer.text) == (503, True)


def test_corrected_rows_can_not_be_taken_while_the_row_errors_can_not_be_read(served: Served) -> None:
    client, log, folder = served
    job_id = ended(served, failed=1)
    sent = len(log.sent)
    files = {"file": ("errors.csv", HEADER + LINE + b",2\n", "text/csv")}
    answer = client.post(f"/v1/jobs/{job_id}/retry-errors", files=files)
    assert answer.status_code == 503
    assert (len(log.sent), spooled(folder)) == (sent, ["people.csv"])


def test_corrected_rows_of_a_dataset_that_was_removed_are_refused_by_its_name(served: Served) -> None:
    client, _, folder = served
    job_id = ended(served, failed=1)
    parts: Any = client.app.state.services  # type: ignore[attr-defined]
    datasets = {name: known for name, known in parts.catalog.datasets.items() if name != "people"}
    parts.catalog = replace(parts.catalog, datasets=datasets)
    files = {"file": ("errors.csv", HEADER + LINE + b",2\n", "text/csv")}
    answer = client.post(f"/v1/jobs/{job_id}/retry-errors", files=files)
    error = answer.json()["error"]
    assert (answer.status_code, error["details"]) == (409, {"dataset": "people", "job_id": job_id})
    assert "dataset 'people'" in error["message"] and spooled(folder) == ["people.csv"]


@pytest.mark.parametrize(
    ("request_parts", "words"),
    [
        ({"files": {"job": ("x", b"{}", "text/csv")}}, "send one part 'file'"),
        ({"files": [("file", ("a", b"x")), ("file", ("b", b"y"))]}, "send one part 'file'"),
        ({"json": {}}, "multipart/form-data"),
        ({"content": b"--x--\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}}, "is missing"),
    ],
)
def test_a_body_without_one_file_is_refused(served: Served, request_parts: dict[str, Any], words: str) -> None:
    client, _, folder = served
    answer = client.post(f"/v1/jobs/{ended(served, failed=1)}/retry-errors", **request_parts)
    assert (answer.status_code, words in answer.text) == (400, True), answer.text
    assert spooled(folder) == ["people.csv"]


def test_corrected_rows_of_a_dry_run_are_refused_before_the_file_is_taken_in(served: Served) -> None:
    client, _, folder = served
    job_id = ended(served, failed=1, dry_run=True)
    answer = client.post(f"/v1/jobs/{job_id}/retry-errors", content=b"x", headers={"content-type": "image/png"})
    assert (answer.status_code, "is a dry run" in answer.text) == (409, True)
    assert spooled(folder) == ["people.csv"]


def test_a_retrys_reason_is_bounded_before_the_file_is_taken_in(served: Served) -> None:
    client, _, folder = served
    path = f"/v1/jobs/{ended(served, failed=1)}/retry-errors"
    answer = client.post(path, params={"reason": "x" * 1001}, content=b"x", headers={"content-type": "text/csv"})
    assert (answer.status_code, "at most 1,000 characters" in answer.text) == (400, True)
    assert spooled(folder) == ["people.csv"]


def test_a_job_without_row_errors_is_refused_before_the_file_is_taken_in(served: Served) -> None:
    client, _, _ = served
    answer = client.post(f"/v1/jobs/{ended(served)}/retry-errors", content=b"x", headers={"content-type": "image/png"})
    assert (answer.status_code, "it has no row errors" in answer.text) == (409, True)


def problem(folder: Path, content: bytes, *wrong: int) -> str | None:
    rows = RowSet()
    for row in wrong:
        rows.add(row)
    (folder / "errors.csv").write_bytes(content)
    try:
        header = corrected_header(folder / "errors.csv", load_datasets()["people"], Options())
    except CsvFileError as error:
        return str(error)
    return rows_problem(folder / "errors.csv", header, rows, LIMITS)


def test_rows_may_be_left_out_and_come_in_any_order_with_any_delimiter(tmp_path: Path) -> None:
    assert problem(tmp_path, HEADER + LINE + b",9\n\n" + LINE + b",2", 2, 5, 9) is None
    assert problem(tmp_path, b"\xef\xbb\xbf" + (HEADER + LINE + b",2\r\n").replace(b",", b";"), 2) is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (LINE + b",3\n" + LINE + b",4\n", "no row errors of this job: 3, 4"),
        (b"".join(LINE + b",%d\n" % row for row in range(100, 200)), "109 ..."),
        (LINE + b",2\n" + LINE + b",2\n", "twice: 2"),
        (LINE + b",\n", "line 2 has no row number"),
        (LINE + b",two\n", "but 'two'"),
        (LINE + b",99999999999999999999\n", "has no row number"),
        (LINE + b"," + b"9" * 6000 + b"\n", "has no row number"),
        (LINE + b"," + b"\1" * 2_000_000 + b"\n", "the row takes more than 1048576 bytes"),
        (LINE + b"," + b"\1" * 1_000_000 + b"\n", "longer than rows can be"),
        (LINE + b"\n", "has no row number"),
        (b"", "no rows"),
        (b"\n\n", "no rows"),
    ],
)
def test_rows_that_are_none_of_the_errors_are_named(tmp_path: Path, rows: bytes, words: str) -> None:
    assert words in str(problem(tmp_path, HEADER + rows, 2))


def test_cells_may_be_as_long_as_they_were(tmp_path: Path) -> None:
    assert problem(tmp_path, HEADER + LINE.replace(b"Ann", b"A" * 250_000) + b",2\n", 2) is None
    assert problem(tmp_path, HEADER + LINE.replace(b"Ann", b'"' + b'""' * 250_000 + b'"') + b",2\n", 2) is None


def test_a_file_without_row_numbers_is_told_where_they_come_from(tmp_path: Path) -> None:
    assert "`sluice errors ID --csv`" in str(problem(tmp_path, PEOPLE + ROW, 1))
    assert "does not fit dataset 'people'" in str(problem(tmp_path, b"a,b\n1,2\n", 1))


def test_many_rows_take_a_bit_of_memory_each(tmp_path: Path) -> None:
    file, rows = tmp_path / "errors.csv", RowSet()
    with file.open("wb") as target:
        target.write(HEADER)
        for row in range(1, 20_001):
            rows.add(row * 500)
            target.write(LINE + b",%d\n" % (row * 500))
    tracemalloc.start()
    try:
        header = corrected_header(file, load_datasets()["people"], Options())
        assert rows_problem(file, header, rows, LIMITS) is None
        assert tracemalloc.get_traced_memory()[1] < 6_000_000, "ten million rows"
    finally:
        tracemalloc.stop()
