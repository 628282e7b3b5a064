"""Datasets with a key: no two rows of a job have the same, over all workers, whatever crashes; in dry runs as well."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path
from typing import Any

from processor.operations.dry_run_keys import claims_index
from schemas.indices import data_index
from tests.support.processes.cluster import Cluster
from tests.support.waiting import elasticsearch
from verify.compare import compare

ROWS = 6000
KEYS = 4000


def members(folder: Path) -> Path:
    """A file in which keys come again: in the next row, in the same block, and far away."""
    chance = random.Random(5)
    keys = [(f"club {n % 7}", n) for n in range(KEYS)]
    rows = [*keys, *(chance.choice(keys) for _ in range(ROWS - KEYS))]
    chance.shuffle(rows)
    rows[100], rows[2000] = rows[101], rows[2001]
    file = folder / "members.csv"
    with file.open("w", newline="") as lines:
        csv.writer(lines).writerows([("club", "number", "name"), *((*key, f"row {at}") for at, key in enumerate(rows))])
    return file


def send(cluster: Cluster, file: Path, organisation: str, **options: Any) -> str:
    job = {"operation": "upload", "dataset": "members", "organisation": organisation, "options": options}
    with file.open("rb") as content:
        parts = {"job": (None, json.dumps(job), "application/json"), "file": (file.name, content, "text/csv")}
        answer = cluster.request("POST", "/v1/jobs", files=parts)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def errors_of(cluster: Cluster, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    following: dict[str, int] = {}
    while True:
        page = cluster.call("GET", f"/v1/jobs/{job_id}/errors", params={"limit": 1000, **following})
        found += page["errors"]
        if page["next"] is None:
            return found
        following = {"after": page["next"]}


def documents(cluster: Cluster, job_id: str) -> int:
    index = data_index(cluster.settings.prefix, "members")
    with elasticsearch(cluster.settings) as client:
        client.indices.refresh(index=index)
        return int(client.count(index=index, query={"term": {"sluice.job_id": job_id}})["count"])


def claims(cluster: Cluster, job_id: str) -> bool:
    with elasticsearch(cluster.settings) as client:
        return bool(client.indices.exists(index=claims_index(cluster.settings.prefix, job_id)))


def assert_each_key_once(cluster: Cluster, job_id: str, file: Path) -> None:
    """Of the rows with one key all but one are errors, and these name that one."""
    with file.open(newline="") as lines:
        rows = [(row["club"], row["number"]) for row in csv.DictReader(lines)]
    errors = errors_of(cluster, job_id)
    refused = {error["row"] for error in errors}
    stored = {rows[number - 1]: number for number in range(1, len(rows) + 1) if number not in refused}
    assert len(stored) == len(rows) - len(refused) == len(set(rows))
    for error in errors:
        key = rows[error["row"] - 1]
        assert (error["column"], error["value"]) == ("club, number", ", ".join(key))
        named = re.fullmatch(r"club and number '(.*)' is in row (\d+) of the file already", error["reason"])
        assert named, error
        assert (named[1], int(named[2])) == (", ".join(key), stored[key])


def test_a_key_is_stored_once_whichever_worker_meets_it(cluster: Cluster, organisation: str, tmp_path: Path) -> None:
    file = members(tmp_path)
    cluster.start("worker")
    jobs = [send(cluster, file, f"{organisation}-{number}") for number in range(2)]
    for job_id in jobs:
        cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
        assert_each_key_once(cluster, job_id, file)
        verdict = compare(cluster.settings, job_id, "members", file)
        assert verdict.holds, str(verdict)
    kept, taken_back = jobs
    before = documents(cluster, kept)
    assert cluster.act(taken_back, "rollback")["state"] == "ROLLED_BACK"
    assert (documents(cluster, taken_back), documents(cluster, kept)) == (0, before)


def test_a_worker_that_dies_leaves_no_key_twice_and_no_row_without_one(
    cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    file = members(tmp_path)
    job_id = send(cluster, file, organisation)
    cluster.wait_rows(job_id, 500)
    cluster.worker.kill()
    cluster.start("worker")
    cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    assert_each_key_once(cluster, job_id, file)
    verdict = compare(cluster.settings, job_id, "members", file)
    assert verdict.holds, str(verdict)


def test_a_dry_run_finds_the_same_and_leaves_nothing(cluster: Cluster, organisation: str, tmp_path: Path) -> None:
    file = members(tmp_path)
    job_id = send(cluster, file, organisation, dry_run=True)
    cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    assert_each_key_once(cluster, job_id, file)
    assert documents(cluster, job_id) == 0
    cluster.wait(lambda: not claims(cluster, job_id), "the keys of the dry run are gone")
