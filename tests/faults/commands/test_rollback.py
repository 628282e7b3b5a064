"""Taking rows out is a job like any other: it can be paused, and its worker may die."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import People
from tests.faults.evidence import assert_still, count
from tests.support.processes.cluster import Cluster
from tests.support.waiting import PATIENCE

ROWS = 40_000
ATTEMPTS = 5
"""No rate holds a rollback back: it may be over before the test has done what it wants to do meanwhile."""


@pytest.fixture
def undoing(cluster: Cluster, people: People, organisation: str) -> Iterator[str]:
    """Finished uploads, again and again, whose rollback has just begun."""

    def make() -> Iterator[str]:
        for _ in range(ATTEMPTS):
            job_id = cluster.upload(people(ROWS), organisation)
            cluster.wait_state(job_id, "COMPLETED")
            cluster.act(job_id, "rollback", wait=None)
            cluster.wait_rows(job_id, ROWS // 20)
            yield job_id
        raise AssertionError(f"a rollback was over too soon {ATTEMPTS} times")

    return make()


def test_a_rollback_is_paused_and_resumed(cluster: Cluster, undoing: Iterator[str]) -> None:
    for loaded in undoing:
        answer = cluster.request("POST", f"/v1/jobs/{loaded}/pause", params={"wait": PATIENCE}, json={})
        left = count(cluster.settings, loaded)
        if answer.status_code != 409 and left:
            break
        cluster.request("POST", f"/v1/jobs/{loaded}/resume", json={})
        cluster.wait_state(loaded, "ROLLED_BACK")
    paused = answer.json()
    assert (paused["state"], paused["progress"]["rows_rolled_back"]) == ("ROLLBACK_PAUSED", ROWS - left)
    assert 0 < left < ROWS
    assert_still(cluster.settings, loaded, left)
    cluster.act(loaded, "resume")
    ended = cluster.wait_state(loaded, "ROLLED_BACK")
    assert ended["progress"]["rows_rolled_back"] == ROWS
    assert_still(cluster.settings, loaded, 0)


def test_a_rollback_survives_the_death_of_its_worker(cluster: Cluster, undoing: Iterator[str]) -> None:
    for loaded in undoing:
        cluster.worker.kill()
        left = count(cluster.settings, loaded)
        cluster.start("worker")
        if left:
            break
    assert left < ROWS
    cluster.wait_state(loaded, "ROLLED_BACK")
    assert_still(cluster.settings, loaded, 0)


def test_a_rollback_goes_on_while_workers_come_and_go(cluster: Cluster, undoing: Iterator[str]) -> None:
    first, loaded = cluster.worker, next(undoing)
    cluster.start("worker")
    first.stop()
    cluster.wait_state(loaded, "ROLLED_BACK")
    assert_still(cluster.settings, loaded, 0)
