"""Files as people have them: columns that are called otherwise, too many of them and too few, on real servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.faults.corrections import as_csv, counts, errors_csv, retry
from tests.faults.evidence import documents
from tests.faults.legacy_files import assert_stored, legacy, with_notes
from tests.support.processes.cluster import Cluster

FIELDS = {"Name": "name", "Email": "email", "Favorite Color": "favorite_color", "Phone number": "phone",
          "Country": "country"}  # fmt: skip


OPTIONS: dict[str, Any] = {"columns": {"FONE": "phone"}, "set": {"country": "Netherlands"}, "ignore_extra": True}


def test_a_dummy_file_of_old_is_uploaded_as_it_is(cluster: Cluster, organisation: str, tmp_path: Path) -> None:
    file = legacy(tmp_path, 1000)
    job_id = cluster.upload(file, organisation, if_same=None)
    job = cluster.wait_state(job_id, "COMPLETED")
    assert (counts(job), job["source"]["columns"], job["options"]) == ((1000, 0), FIELDS, {})
    assert_stored(cluster, job_id, file)


def test_a_reader_that_takes_over_follows_what_was_decided(cluster: Cluster, organisation: str, tmp_path: Path) -> None:
    file = with_notes(tmp_path, 4000)
    job_id = cluster.upload(file, organisation, rows_per_second=50, **OPTIONS)
    cluster.wait_rows(job_id, 1)
    cluster.reader.kill()
    cluster.start("ingest")
    cluster.wait_rows(job_id, 200)
    assert cluster.act(job_id, "pause")["state"] == "PAUSED"
    cluster.worker.kill()
    cluster.start("worker")
    cluster.act(job_id, "resume", wait=None)
    cluster.rate(job_id, None)
    job = cluster.wait_state(job_id, "COMPLETED")
    assert job["source"]["columns"] == {
        "Notes": None, "Name": "name", "Email": "email", "Fone": "phone", "Favorite Color": "favorite_color",
    }  # fmt: skip
    assert_stored(cluster, job_id, file, country="Netherlands")


def test_row_errors_come_back_under_the_names_of_fields_and_are_retried(
    cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    good = with_notes(tmp_path, 1000)
    wrong = tmp_path / "wrong.csv"
    wrong.write_bytes(good.read_bytes().replace(b"@", b" at ", 5))
    job_id = cluster.upload(wrong, organisation, **OPTIONS)
    assert counts(cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")) == (995, 5)
    header, *rows = errors_csv(cluster, job_id)
    assert header[:5] == ["name", "email", "phone", "favorite_color", "sluice_row"], "neither notes nor what is set"
    assert [row[4] for row in rows] == ["1", "2", "3", "4", "5"] and "note 0" not in str(rows)
    mended = [[row[0], row[1].replace(" at ", "@"), *row[2:]] for row in rows]
    answer = retry(cluster, job_id, as_csv([header, *mended]))
    assert answer.status_code == 202, answer.text
    assert counts(cluster.wait_state(job_id, "COMPLETED")) == (1000, 0)
    assert_stored(cluster, job_id, good, country="Netherlands")


def test_a_dry_run_shows_what_the_real_job_stores(cluster: Cluster, organisation: str, tmp_path: Path) -> None:
    file = with_notes(tmp_path, 300)
    tried = cluster.upload(file, organisation, dry_run=True, **OPTIONS)
    cluster.wait_state(tried, "COMPLETED")
    (first, *_) = cluster.call("GET", f"/v1/jobs/{tried}/preview")["rows"]
    uploaded = f"{cluster.job(tried)['created_at'][:19]}Z"
    assert (first["document"]["country"], first["document"]["created_at"]) == ("Netherlands", uploaded)
    assert "Notes" not in first["document"] and documents(cluster.settings, tried) == {}
    real = cluster.call("POST", f"/v1/jobs/{tried}/start", json={"options": {"rows_per_second": 10_000}})
    cluster.wait_state(real["id"], "COMPLETED")
    assert_stored(cluster, real["id"], file, country="Netherlands")


def test_what_is_set_wrongly_fails_the_job_before_a_row_is_written(
    cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    cluster.expect("can.t go on: country is")
    wrong = {**OPTIONS, "set": {"country": "X"}}
    job_id = cluster.upload(with_notes(tmp_path, 300), organisation, **wrong)
    job = cluster.wait_state(job_id, "FAILED")
    assert "country is 'X' in every row, and is 1 character long" in job["reason"]
    assert documents(cluster.settings, job_id) == {}
