"""docs/custom-operations.md: the operation that it shows is loaded, runs on real servers, pauses, and is taken back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes
from schemas.indices import data_index, index_name
from tests.conftest import MakeCluster
from tests.support.in_memory.own_operations import page_code
from tests.support.processes.cluster import Cluster
from tests.support.waiting import elasticsearch

MOST_LINES = 60
TEAMS = 400


def rephoned(teams: bytes, change: Callable[[int, str], str]) -> tuple[bytes, list[dict[str, str]]]:
    """The same teams with other phone numbers; `change` is given the row number and the phone."""
    rows = list(csv.DictReader(io.StringIO(teams.decode(), newline="")))
    for number, row in enumerate(rows, start=1):
        row["manager_phone"] = change(number, row["manager_phone"])
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(), rows


def send(cluster: Cluster, operation: str, content: bytes, **options: Any) -> str:
    job = {"operation": operation, "dataset": "teams", "organisation": "acme", "options": options}
    parts = {"job": (None, json.dumps(job), "application/json"), "file": ("teams.csv", content, "text/csv")}
    response = cluster.request("POST", "/v1/jobs", files=parts)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def phones(cluster: Cluster) -> dict[str, str]:
    """Team -> phone, as Elasticsearch has them."""
    with elasticsearch(cluster.settings) as client:
        index = data_index(cluster.settings.prefix, "teams")
        client.indices.refresh(index=index)
        hits = client.search(index=index, size=10_000)["hits"]["hits"]
    return {hit["_source"]["team"]: hit["_source"]["manager_phone"] for hit in hits}


def kept(cluster: Cluster) -> int:
    with elasticsearch(cluster.settings) as client:
        index = index_name(cluster.settings.prefix, "rephone")
        client.indices.refresh(index=index)
        return int(client.count(index=index)["count"])


def test_the_operation_of_the_page_is_short() -> None:
    assert len(page_code()[0].splitlines()) <= MOST_LINES


def test_the_operation_of_the_page_runs_pauses_and_is_taken_back(
    make_cluster: MakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rephone.py").write_text(page_code()[0], "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    cluster = make_cluster(operations="rephone:Rephone", block_rows=20, bulk_rows=20)
    teams = generate_bytes(Dataset.TEAMS, TEAMS, 1)
    made = send(cluster, "teams", teams)
    cluster.wait_state(made, "COMPLETED")
    before = phones(cluster)

    def change(number: int, phone: str) -> str:
        return "no phone" if number == 7 else f"+31 20 {1_000_000 + number}"

    content, rows = rephoned(teams, change)
    stranger = dict(rows[0], team="nobody knows it")
    content += (",".join(stranger.values()) + "\r\n").encode()
    after = {row["team"]: row["manager_phone"] for row in rows} | {rows[6]["team"]: before[rows[6]["team"]]}

    job_id = send(cluster, "rephone", content, rows_per_second=10)
    cluster.wait_rows(job_id, 20)
    paused = cluster.act(job_id, "pause")
    assert paused["state"] == "PAUSED"
    changed = sum(phones(cluster)[team] != before[team] for team in before)
    assert changed == paused["progress"]["rows_applied"] < TEAMS
    cluster.rate(job_id, None)
    cluster.act(job_id, "resume")
    job = cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    assert (job["progress"]["rows_applied"], job["progress"]["rows_failed"]) == (TEAMS - 1, 2)
    errors = cluster.call("GET", f"/v1/jobs/{job_id}/errors")["errors"]
    assert [(error["row"], error["reason"]) for error in errors] == [
        (7, "manager_phone is not a phone number"),
        (TEAMS + 1, "there is no such team"),
    ]
    assert phones(cluster) == after
    assert kept(cluster) == TEAMS - 1

    back = cluster.act(job_id, "rollback")
    assert (back["state"], back["progress"]["rows_rolled_back"]) == ("ROLLED_BACK", TEAMS - 1)
    assert phones(cluster) == before
    assert kept(cluster) == 0
