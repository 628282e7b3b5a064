"""Taking rows out is a job like any other: it can be paused, and its worker may die."""

from __future__ import annotations

import pytest

from tests.cluster import Cluster
from tests.conftest import People
from tests.faults.evidence import assert_still, count

ROWS = 60_000


@pytest.fixture
def loaded(cluster: Cluster, people: People, organisation: str) -> str:
    """A finished upload."""
    # The rate goes for the rollback as well: else that could be over between two looks at it.
    job_id = cluster.upload(people(ROWS), organisation, rows_per_second=20_000)
    cluster.wait_state(job_id, "COMPLETED")
    return job_id


def begin(cluster: Cluster, job_id: str) -> None:
    """Begin a rollback that lasts."""
    cluster.act(job_id, "rollback", wait=None)
    cluster.rate(job_id, 4000)


def test_a_rollback_is_paused_and_resumed(cluster: Cluster, loaded: str) -> None:
    begin(cluster, loaded)
    cluster.wait_rows(loaded, ROWS // 10)
    paused = cluster.act(loaded, "pause")
    left = count(cluster.settings, loaded)
    assert (paused["state"], paused["progress"]["rows_rolled_back"]) == ("ROLLBACK_PAUSED", ROWS - left)
    assert 0 < left < ROWS
    assert_still(cluster.settings, loaded, left)
    cluster.rate(loaded, None)
    cluster.act(loaded, "resume")
    ended = cluster.wait_state(loaded, "ROLLED_BACK")
    assert ended["progress"]["rows_rolled_back"] == ROWS
    assert_still(cluster.settings, loaded, 0)


def test_a_rollback_survives_the_death_of_its_worker(cluster: Cluster, loaded: str) -> None:
    begin(cluster, loaded)
    cluster.wait_rows(loaded, ROWS // 10)
    cluster.worker.kill()
    assert 0 < count(cluster.settings, loaded) < ROWS
    cluster.start("worker")
    cluster.rate(loaded, None)
    cluster.wait_state(loaded, "ROLLED_BACK")
    assert_still(cluster.settings, loaded, 0)


def test_a_rollback_goes_on_while_workers_come_and_go(cluster: Cluster, loaded: str) -> None:
    first = cluster.worker
    begin(cluster, loaded)
    cluster.wait_rows(loaded, ROWS // 10)
    cluster.start("worker")
    first.stop()
    cluster.rate(loaded, None)
    cluster.wait_state(loaded, "ROLLED_BACK")
    assert_still(cluster.settings, loaded, 0)
