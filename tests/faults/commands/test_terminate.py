"""Terminate stops a job for good; by default its rows go, and nobody else's."""

from __future__ import annotations

import pytest

from tests.conftest import People
from tests.faults.evidence import assert_loaded, assert_still, count, documents
from tests.support.processes.cluster import Cluster

ROWS = 5000


@pytest.fixture
def neighbour(cluster: Cluster, people: People, organisation: str) -> str:
    """A finished job in the same index."""
    job_id = cluster.upload(people(1000, 2), f"{organisation}-neighbour")
    cluster.wait_state(job_id, "COMPLETED")
    return job_id


def test_a_terminated_jobs_rows_go_and_its_neighbours_stay(
    cluster: Cluster, people: People, organisation: str, neighbour: str
) -> None:
    before = documents(cluster.settings, neighbour)
    job_id = cluster.upload(people(ROWS), organisation, rows_per_second=100)
    cluster.wait_rows(job_id, 100)
    ended = cluster.act(job_id, "terminate", reason="columns are swapped")
    assert (ended["state"], ended["reason"]) == ("ROLLED_BACK", "columns are swapped")
    assert_still(cluster.settings, job_id, 0)
    assert documents(cluster.settings, neighbour) == before
    progress = ended["progress"]
    assert 0 < progress["rows_rolled_back"] == progress["rows_applied"] < ROWS


def test_a_paused_job_is_terminated(cluster: Cluster, people: People, organisation: str) -> None:
    job_id = cluster.upload(people(ROWS), organisation, rows_per_second=100)
    cluster.wait_rows(job_id, 100)
    cluster.act(job_id, "pause")
    assert cluster.act(job_id, "terminate")["state"] == "ROLLED_BACK"
    assert_still(cluster.settings, job_id, 0)


def test_rows_are_kept_when_asked_for_and_taken_out_later(
    cluster: Cluster, people: People, organisation: str, neighbour: str
) -> None:
    before = documents(cluster.settings, neighbour)
    job_id = cluster.upload(people(ROWS), organisation, rows_per_second=100)
    cluster.wait_rows(job_id, 100)
    ended = cluster.act(job_id, "terminate", keep_rows=True)
    written = count(cluster.settings, job_id)
    assert (ended["state"], ended["progress"]["rows_applied"]) == ("TERMINATED", written)
    assert_still(cluster.settings, job_id, written)
    ended = cluster.act(job_id, "rollback")
    assert (ended["state"], ended["progress"]["rows_rolled_back"]) == ("ROLLED_BACK", written)
    assert_still(cluster.settings, job_id, 0)
    assert documents(cluster.settings, neighbour) == before


def test_the_right_file_is_loaded_after_the_wrong_one(cluster: Cluster, people: People, organisation: str) -> None:
    wrong = cluster.upload(people(ROWS, 3), organisation, rows_per_second=100)
    cluster.wait_rows(wrong, 1)
    cluster.act(wrong, "terminate")
    right = cluster.upload(people(1000), organisation)
    cluster.wait_state(right, "COMPLETED")
    assert_loaded(cluster, right, people(1000))
    assert count(cluster.settings, wrong) == 0
