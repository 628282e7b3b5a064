"""A worker stands still for longer than its session, loses its partitions, and wakes without knowing it."""

from __future__ import annotations

import pytest

from tests.conftest import People
from tests.faults.evidence import assert_loaded, assert_still, count
from tests.support.processes.cluster import Cluster, Process

ROWS = 6000


def take_over_from(cluster: Cluster, frozen: Process, second: Process) -> None:
    """Wait until the second worker owns every partition, the first one's included."""
    frozen.freeze()
    all_of_them = f"this worker owns partitions {list(range(cluster.settings.topic_partitions))}"
    cluster.wait(lambda: all_of_them in second.log, "the second worker has taken over")


def wake(cluster: Cluster, frozen: Process) -> None:
    """Wake it: it has to notice what it has missed, and to end; a supervisor would start another one."""
    frozen.excused = frozen.ended_by_test = True
    frozen.wake()
    cluster.wait(lambda: not frozen.alive, "the woken worker has ended")
    assert frozen.child.returncode == 1


@pytest.mark.parametrize("rows", [1, ROWS // 4])
def test_an_upload_survives_a_worker_that_stands_still(
    cluster: Cluster, people: People, organisation: str, rows: int
) -> None:
    file = people(ROWS)
    frozen, second = cluster.worker, cluster.start("worker")
    job_id = cluster.upload(file, organisation, rows_per_second=1200)
    cluster.wait_rows(job_id, rows)
    take_over_from(cluster, frozen, second)
    wake(cluster, frozen)
    cluster.rate(job_id, None)
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)


def test_a_pause_holds_when_the_frozen_worker_wakes(cluster: Cluster, people: People, organisation: str) -> None:
    file = people(ROWS)
    frozen, second = cluster.worker, cluster.start("worker")
    job_id = cluster.upload(file, organisation, rows_per_second=100)  # it goes on while the first is frozen
    cluster.wait_rows(job_id, 1)
    take_over_from(cluster, frozen, second)
    assert cluster.act(job_id, "pause")["state"] == "PAUSED"
    written = count(cluster.settings, job_id)
    assert 0 < written < ROWS
    wake(cluster, frozen)
    assert_still(cluster.settings, job_id, written)
    cluster.rate(job_id, None)
    cluster.act(job_id, "resume")
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)


def test_a_rollback_leaves_nothing_when_the_frozen_worker_wakes_in_it(
    cluster: Cluster, people: People, organisation: str
) -> None:
    frozen, second = cluster.worker, cluster.start("worker")
    job_id = cluster.upload(people(ROWS), organisation, rows_per_second=100)
    cluster.wait_rows(job_id, 100)
    frozen.freeze()
    cluster.act(job_id, "terminate", wait=None)
    cluster.wait_state(job_id, "ROLLING_BACK", "ROLLED_BACK")
    wake(cluster, frozen)
    cluster.wait_state(job_id, "ROLLED_BACK")
    assert_still(cluster.settings, job_id, 0)
    cluster.wait_ready(second)
