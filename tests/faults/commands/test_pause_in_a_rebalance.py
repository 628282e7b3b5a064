"""A pause that is asked for while partitions change hands."""

from __future__ import annotations

from tests.conftest import People
from tests.faults.evidence import assert_loaded, assert_still, count
from tests.support.processes.cluster import Cluster

ROWS = 5000


def test_a_pause_while_a_worker_joins(cluster: Cluster, people: People, organisation: str) -> None:
    file = people(ROWS)
    job_id = cluster.upload(file, organisation, rows_per_second=160)
    joining = cluster.launch("worker")
    cluster.wait(lambda: "Starting" in joining.log, "the second worker asks for partitions")
    assert cluster.act(job_id, "pause")["state"] == "PAUSED"
    assert_still(cluster.settings, job_id, count(cluster.settings, job_id))
    cluster.wait_ready(joining)
    cluster.rate(job_id, None)
    cluster.act(job_id, "resume")
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)


def test_a_pause_while_a_worker_lies_dead(cluster: Cluster, people: People, organisation: str) -> None:
    """Its partitions' next owner may not confirm the pause before a request of the dead one must have ended."""
    file = people(ROWS)
    first, second = cluster.worker, cluster.start("worker")
    job_id = cluster.upload(file, organisation, rows_per_second=320)
    cluster.wait_rows(job_id, ROWS // 10)
    second.kill()
    assert cluster.act(job_id, "pause")["state"] == "PAUSED"
    assert_still(cluster.settings, job_id, count(cluster.settings, job_id))
    cluster.wait_ready(first)
    cluster.rate(job_id, None)
    cluster.act(job_id, "resume")
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)
