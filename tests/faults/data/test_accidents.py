"""Files that are an accident, on real servers: named before the first row is written, and put right in one command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from sample_csv.accidents import shift_down, swap_columns
from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes
from schemas.indices import data_index
from tests.faults.evidence import assert_loaded, assert_still, count
from tests.support.processes.cluster import Cluster
from tests.support.waiting import elasticsearch

ROWS = 1200
OWN_SEED, SEED = 11, 12


def people(folder: Path, seed: int = SEED, rows: int = ROWS) -> Path:
    file = folder / f"people-{seed}-{rows}.csv"
    file.write_bytes(generate_bytes(Dataset.PEOPLE, rows, seed))
    return file


def exchanged(file: Path, one: str, other: str) -> Path:
    wrong = file.with_name(f"{one}-{other}.csv")
    wrong.write_bytes(swap_columns(file.read_bytes(), one, other))
    return wrong


def teams(cluster: Cluster, content: bytes, organisation: str) -> str:
    """An upload into the keyed dataset teams; the job's id."""
    options = {"if_same": "allow"}
    job = {"operation": "upload", "dataset": "teams", "organisation": organisation, "options": options}
    parts = {"job": (None, json.dumps(job), "application/json"), "file": ("teams.csv", content, "text/csv")}
    return str(cluster.call("POST", "/v1/jobs", files=parts)["id"])


@pytest.fixture
def owner(cluster: Cluster, organisation: str, tmp_path: Path) -> str:
    """An organisation that has rows to compare with."""
    job_id = cluster.upload(people(tmp_path, OWN_SEED), organisation)
    assert cluster.wait_state(job_id, "COMPLETED")["suspicion"] is None
    return organisation


def test_a_probe_that_fails_says_what_is_wrong_with_the_file_and_how_to_mend_it(
    cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    file = exchanged(people(tmp_path), "email", "phone")
    job_id = cluster.upload(file, organisation, max_errors="5%")
    job = cluster.wait_state(job_id, "PAUSED")
    found = job["suspicion"]
    message = "email and phone look exchanged: 1,000 of 1,000 rows fit with them the other way round"
    assert job["reason"].startswith(f"{message}. 1,000 of the first 1,000 rows have errors"), job["reason"]
    assert (found["kind"], found["columns"], found["fit"]) == ("exchanged", ["email", "phone"], 1)
    assert "--map email=phone --map phone=email" in found["command"]
    assert count(cluster.settings, job_id) == 0
    cluster.act(job_id, "terminate")
    mended = cluster.upload(file, organisation, max_errors="5%", columns=found["columns_option"])
    assert cluster.wait_state(mended, "COMPLETED")["suspicion"] is None
    with elasticsearch(cluster.settings) as client:
        client.indices.refresh(index=data_index(cluster.settings.prefix, "people"))
        stored = client.get(index=data_index(cluster.settings.prefix, "people"), id=f"{mended}:1")["_source"]
    with people(tmp_path).open(newline="") as lines:
        right = next(csv.DictReader(lines))
    assert {name: stored[name] for name in right} == right


def test_without_rows_to_compare_with_a_suspicion_is_noted_and_the_job_goes_on(
    cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    file = tmp_path / "shifted.csv"
    file.write_bytes(shift_down(people(tmp_path).read_bytes(), "email"))
    job = cluster.wait_state(cluster.upload(file, organisation), "COMPLETED_WITH_ERRORS")
    found = job["suspicion"]
    assert (found["kind"], found["columns"], found["by"]) == ("shifted", ["email"], 1), found
    assert job["reason"] is None and "Suspected" in [entry.get("event") for entry in cluster.history(job["id"])]
    assert_loaded(cluster, job["id"], file)


def test_good_rows_that_look_like_an_accident_rest_before_the_first_is_written(
    cluster: Cluster, owner: str, tmp_path: Path
) -> None:
    cluster.wait_ready(cluster.launch("worker"))
    file = exchanged(people(tmp_path), "name", "country")
    job_id = cluster.upload(file, owner)
    job = cluster.wait_state(job_id, "PAUSED")
    assert job["reason"].startswith("name and country look exchanged: "), job["reason"]
    assert "No row is written yet" in job["reason"]
    assert job["suspicion"]["columns_option"] == {"name": "country", "country": "name"}
    assert_still(cluster.settings, job_id, 0)
    cluster.act(job_id, "resume")
    assert cluster.wait_state(job_id, "COMPLETED")["suspicion"]["kind"] == "exchanged"
    assert_loaded(cluster, job_id, file)
    cluster.act(job_id, "rollback")


def test_who_says_so_is_not_held_up(cluster: Cluster, owner: str, tmp_path: Path) -> None:
    file = exchanged(people(tmp_path), "name", "country")
    noted = cluster.wait_state(cluster.upload(file, owner, suspicions="note"), "COMPLETED")
    assert noted["suspicion"]["kind"] == "exchanged" and noted["reason"] is None
    cluster.act(noted["id"], "rollback")
    unseen = cluster.wait_state(cluster.upload(file, owner, suspicions="off"), "COMPLETED")
    assert unseen["suspicion"] is None
    cluster.act(unseen["id"], "rollback")
    tried = cluster.wait_state(cluster.upload(file, owner, dry_run=True), "COMPLETED")
    assert tried["suspicion"]["kind"] == "exchanged", "a dry run tells, and has nothing to rest before"
    mended = cluster.upload(file, owner, columns=noted["suspicion"]["columns_option"])
    assert cluster.wait_state(mended, "COMPLETED")["suspicion"] is None


def test_a_worker_that_dies_before_it_has_looked_leaves_it_to_its_successor(
    cluster: Cluster, owner: str, tmp_path: Path
) -> None:
    file = tmp_path / "years.csv"
    file.write_bytes(people(tmp_path).read_bytes().replace(b",2026-", b",2016-"))
    job_id = cluster.upload(file, owner)
    cluster.worker.kill()
    cluster.start("worker")
    job = cluster.wait_state(job_id, "PAUSED")
    assert (job["suspicion"]["kind"], job["suspicion"]["columns"], job["suspicion"]["by"]) == (
        "unusual", ["created_at"], -10,
    )  # fmt: skip
    assert count(cluster.settings, job_id) == 0
    assert cluster.act(job_id, "terminate")["state"] == "ROLLED_BACK"


def test_values_of_a_key_that_fit_the_rows_some_places_away_are_a_shift(cluster: Cluster, organisation: str) -> None:
    good = generate_bytes(Dataset.TEAMS, ROWS, SEED)
    cluster.wait_state(teams(cluster, good, organisation), "COMPLETED")
    for column in ("region", "team"):
        wrong = shift_down(shift_down(good, column), column)
        job = cluster.wait_state(teams(cluster, wrong, organisation), "PAUSED")
        assert (job["suspicion"]["kind"], job["suspicion"]["columns"], job["suspicion"]["by"]) == (
            "shifted", [column], 2,
        ), job["suspicion"]  # fmt: skip
        cluster.act(job["id"], "terminate")
    again = cluster.wait_state(teams(cluster, good, organisation), "COMPLETED_WITH_ERRORS")  # each team exists
    assert again["suspicion"] is None, "the same rows once more are no accident"
