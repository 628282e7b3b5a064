"""A dry run checks every row, writes none, shows what it found, and becomes the real job without a second upload."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

from tests.conftest import People
from tests.faults.bad_rows import spoil
from tests.faults.evidence import assert_loaded, count, documents
from tests.support.processes.cluster import Cluster

ROWS = 3000


def dry_run(cluster: Cluster, people: People, organisation: str, folder: Path, bad: list[int]) -> tuple[str, Path]:
    """A dry run that has ended, of people with errors in those rows."""
    file = folder / "spoilt.csv"
    file.write_bytes(spoil(people(ROWS).read_bytes(), bad))
    job_id = cluster.upload(file, organisation, dry_run=True)
    cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    return job_id, file


def test_it_shows_counts_the_first_errors_and_the_first_rows_as_they_would_be_stored(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    bad = [*range(1, 11), 17, 150, 2999]
    job_id, file = dry_run(cluster, people, organisation, tmp_path, bad)
    preview = cluster.call("GET", f"/v1/jobs/{job_id}/preview")
    counts = [preview[name] for name in ("rows_total", "rows_valid", "rows_failed")]
    assert counts == [ROWS, ROWS - len(bad), len(bad)]
    assert [error["row"] for error in preview["errors"]] == bad
    assert {error["reason"] for error in preview["errors"]} == {"email is not an email address"}
    shown = [row for row in range(1, 100) if row not in bad][:20]
    assert [row["row"] for row in preview["rows"]] == shown
    assert count(cluster.settings, job_id) == 0, "nothing is written"

    real = cluster.call("POST", f"/v1/jobs/{job_id}/start")["id"]
    cluster.wait_state(real, "COMPLETED_WITH_ERRORS")
    stored = {number: source for number, (_, _, source) in enumerate(documents(cluster.settings, real).values())}
    by_row = {source["sluice"]["row_number"]: source for source in stored.values()}
    for row in preview["rows"]:
        would_be, is_now = row["document"], by_row[row["row"]]
        assert would_be["sluice"] == {"job_id": job_id, "row_number": row["row"], "organisation": organisation}
        assert would_be | {"sluice": None} == is_now | {"sluice": None}
    assert_loaded(cluster, real, file)


def test_it_becomes_the_real_job_once_and_without_a_second_upload(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    job_id, file = dry_run(cluster, people, organisation, tmp_path, [7])
    file.unlink()
    spooled = sorted((cluster.settings.storage_root / "sources").rglob("*.csv"))
    answer = cluster.request("POST", f"/v1/jobs/{job_id}/start", json={"options": {"rows_per_second": 2000}})
    assert answer.status_code == 201, answer.text
    real = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{real['id']}"
    assert (real["started_from"], real["options"]) == (job_id, {"rows_per_second": 2000.0})
    assert (real["source"], real["organisation"]) == (cluster.job(job_id)["source"], organisation)
    again = cluster.request("POST", f"/v1/jobs/{job_id}/start")
    assert (again.status_code, again.json()["id"]) == (200, real["id"])
    assert sorted((cluster.settings.storage_root / "sources").rglob("*.csv")) == spooled
    job = cluster.wait_state(real["id"], "COMPLETED_WITH_ERRORS")
    assert (job["progress"]["rows_applied"], job["progress"]["rows_failed"]) == (ROWS - 1, 1)
    assert cluster.job(job_id)["state"] == "COMPLETED_WITH_ERRORS", "the dry run keeps its own result"
    assert count(cluster.settings, real["id"]) == ROWS - 1
    assert cluster.act(real["id"], "rollback")["state"] == "ROLLED_BACK"


def test_what_can_not_be_started_is_refused_in_plain_words(cluster: Cluster, people: People, organisation: str) -> None:
    def refusal(job_id: str) -> str:
        answer = cluster.request("POST", f"/v1/jobs/{job_id}/start")
        assert answer.status_code == 409, answer.text
        return str(answer.json()["error"]["message"])

    real = cluster.upload(people(ROWS), organisation, rows_per_second=10)
    assert "is no dry run" in refusal(real)
    slow = cluster.upload(people(ROWS), organisation, dry_run=True, rows_per_second=10)
    assert "start is possible when it is COMPLETED or COMPLETED_WITH_ERRORS" in refusal(slow)
    cluster.rate(slow, None)
    cluster.wait_state(slow, "COMPLETED")
    assert f"job {real} of organisation {organisation} is RUNNING" in refusal(slow), "the exclusive key is taken"
    cluster.act(real, "terminate")
    shutil.rmtree(cluster.settings.storage_root / "sources" / slow)
    assert "is not on the server any more: upload it again" in refusal(slow)


def test_a_dry_run_of_every_kind_of_row_finds_what_the_real_job_finds(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    bad = [1, 2, 3, 499, 500, 501, ROWS]
    job_id, _ = dry_run(cluster, people, organisation, tmp_path, bad)
    real = cluster.call("POST", f"/v1/jobs/{job_id}/start")["id"]
    cluster.wait_state(real, "COMPLETED_WITH_ERRORS")
    found = [
        list(csv.reader(cluster.request("GET", f"/v1/jobs/{name}/errors.csv").text.splitlines()))
        for name in (job_id, real)
    ]
    assert found[0] == found[1]
    assert len(found[0]) == len(bad) + 1
