"""Files with something wrong in them: what can be loaded is, the rest is told of, and nothing is half done."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

from sample_csv.accidents import swap_columns
from sample_csv.ready import FILES
from tests.conftest import People
from tests.faults.bad_rows import error_rows, spoil
from tests.faults.evidence import assert_loaded, count, dead_headers, dead_rows, documents, records
from tests.support.processes.cluster import Cluster

ROWS, MANY = 2000, 6000


def test_bad_rows_are_told_of_and_the_rest_is_loaded(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    bad = sorted(random.Random(1).sample(range(1, ROWS + 1), 250))
    file = tmp_path / "spoilt.csv"
    file.write_bytes(spoil(people(ROWS).read_bytes(), bad))
    job_id = cluster.upload(file, organisation)
    job = cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    assert (job["progress"]["rows_applied"], job["progress"]["rows_failed"]) == (ROWS - 250, 250)
    assert_loaded(cluster, job_id, file)
    assert error_rows(cluster, job_id) == bad
    assert dead_rows(cluster.settings, job_id) == set(bad)
    page = cluster.call("GET", f"/v1/jobs/{job_id}/errors", params={"limit": 1})
    assert page["total"] == 250
    first = page["errors"][0]
    assert (first["row"], first["line"], first["column"]) == (bad[0], bad[0] + 1, "email")
    assert first["value"] == f"not an address {bad[0]}"


def test_the_refused_rows_are_corrected_and_sent_again_as_they_came(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    good = people(ROWS).read_bytes()
    spoilt, refused = tmp_path / "spoilt.csv", tmp_path / "refused.csv"
    spoilt.write_bytes(spoil(good, [3, 4, 900]))
    first = cluster.upload(spoilt, organisation)
    cluster.wait_state(first, "COMPLETED_WITH_ERRORS")
    answer = cluster.request("GET", f"/v1/jobs/{first}/errors.csv")
    (header, *rows) = csv.reader(io.StringIO(answer.text, newline=""))
    file = list(csv.reader(io.StringIO(good.decode(), newline="")))
    assert header == [*file[0], "sluice_row", "sluice_line", "sluice_column", "sluice_reason"]
    assert [row[6:] for row in rows] == [
        [str(row), str(row + 1), "email", "email is not an email address"] for row in (3, 4, 900)
    ]
    text = answer.text
    for row in (3, 4, 900):
        text = text.replace(f"not an address {row}", file[row][1])
    refused.write_text(text, newline="")
    second = cluster.upload(refused, organisation)
    cluster.wait_state(second, "COMPLETED")
    assert_loaded(cluster, second, refused)
    found = documents(cluster.settings, second)
    assert [found[f"{second}:{at}"][2]["email"] for at in (1, 2, 3)] == [file[row][1] for row in (3, 4, 900)]


def test_an_error_says_where_it_is_whatever_the_lines_are_like(
    cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    """A byte order mark, CRLF, quoted line ends in good and bad values, and a value that is much too long."""
    good, day = "ann@example.org,+1 555 0100", "NL,,2026-01-01"
    lines = [
        "name,email,phone,country,favorite_color,created_at",
        f'"Ann\r\nLee",{good},{day}',
        f"Bob,{'x' * 300},+1 555 0101,{day}",
        f'"Cyd\n\nLee",{good},{day}',
        f'Dan,"two\nlines",+1 555 0102,{day}',
        f"Eve,eve@example.org,none,{day}",
        f"7 Fay,{good},{day}",
    ]
    file = tmp_path / "odd.csv"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    job_id = cluster.upload(file, organisation)
    cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    errors = cluster.call("GET", f"/v1/jobs/{job_id}/errors")["errors"]
    assert [(error["row"], error["line"], error["column"], error["value"]) for error in errors] == [
        (2, 4, "email", "x" * 200),
        (4, 8, "email", "two\nlines"),
        (5, 10, "phone", "none"),
        (6, 11, "name", "7 Fay"),
    ]
    assert errors[3]["reason"] == "name holds an @, or begins with a digit or +"
    assert dead_headers(cluster.settings, job_id) == {
        error["row"]: {"line": str(error["line"]), "column": error["column"], "reason": error["reason"]}
        for error in errors
    }
    (header, *rows) = csv.reader(io.StringIO(cluster.request("GET", f"/v1/jobs/{job_id}/errors.csv").text, newline=""))
    assert rows[0][header.index("email")] == "x" * 300, "errors.csv has values as they were"
    assert rows[1][header.index("email")] == "two\nlines"


def test_bad_rows_are_counted_once_when_the_worker_dies(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    bad = sorted(random.Random(2).sample(range(1, MANY + 1), MANY // 10))
    file = tmp_path / "spoilt.csv"
    file.write_bytes(spoil(people(MANY).read_bytes(), bad))
    job_id = cluster.upload(file, organisation, rows_per_second=2000)
    cluster.wait_rows(job_id, MANY // 6)
    cluster.worker.kill()
    cluster.start("worker")
    cluster.rate(job_id, None)
    cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    assert_loaded(cluster, job_id, file)
    assert error_rows(cluster, job_id) == bad
    assert dead_rows(cluster.settings, job_id) == set(bad)


def test_a_file_that_breaks_off(cluster: Cluster, organisation: str) -> None:
    file = FILES / "people-truncated.csv"
    job_id = cluster.upload(file, organisation)
    cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    assert_loaded(cluster, job_id, file)
    assert error_rows(cluster, job_id) == [638]


def test_every_row_has_swapped_columns(cluster: Cluster, people: People, organisation: str, tmp_path: Path) -> None:
    file = tmp_path / "swapped.csv"
    file.write_bytes(swap_columns(people(2000).read_bytes(), "email", "phone"))
    job_id = cluster.upload(file, organisation)
    cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    assert count(cluster.settings, job_id) == 0
    assert error_rows(cluster, job_id) == list(range(1, 2001))
    assert_loaded(cluster, job_id, file)


def test_a_dry_run_finds_the_errors_and_writes_no_row(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    file = tmp_path / "spoilt.csv"
    file.write_bytes(spoil(people(2000).read_bytes(), [7, 1234]))
    job_id = cluster.upload(file, organisation, dry_run=True)
    job = cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    assert (job["progress"]["rows_applied"], job["progress"]["rows_failed"]) == (1998, 2)
    assert count(cluster.settings, job_id) == 0
    assert error_rows(cluster, job_id) == [7, 1234]


def test_a_wrong_header_is_refused_before_anything_is_published(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    good = people(1000).read_bytes()
    wrong = {
        "misspelt": good.replace(b"email", b"emial", 1),
        "missing": good.replace(b"name,email", b"email", 1),
        "empty": b"",
        "blank": b"\n\n\n",
        "utf-16": good.decode().encode("utf-16-le"),
    }
    for name, content in wrong.items():
        file = tmp_path / f"{name}.csv"
        file.write_bytes(content)
        answer = cluster.send(file, organisation)
        assert answer.status_code == 400, (name, answer.text)
        assert answer.json()["error"]["message"]
    assert not [value for _, _, value in records(cluster.settings, "commands") if organisation.encode() in value]
    assert not list(cluster.settings.storage_root.rglob("*misspelt*"))


def test_a_file_with_a_header_alone_completes_with_no_rows(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    file = tmp_path / "header.csv"
    file.write_bytes(people(1000).read_bytes().split(b"\n")[0] + b"\n")
    job_id = cluster.upload(file, organisation)
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)
