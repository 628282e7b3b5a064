"""A small job does not wait for a big one that was there first."""

from __future__ import annotations

from tests.conftest import People
from tests.faults.evidence import assert_loaded
from tests.support.processes.cluster import Cluster

ROWS = 20_000


def test_a_small_job_overtakes_a_big_one(cluster: Cluster, people: People, organisation: str) -> None:
    file, few = people(ROWS), people(1000)
    big = cluster.upload(file, f"{organisation}-big", rows_per_second=1000)
    cluster.wait_rows(big, 1)
    small = cluster.upload(few, f"{organisation}-small")
    ended = cluster.wait_state(small, "COMPLETED")["ended_at"]
    cluster.rate(big, None)
    assert ended < cluster.wait_state(big, "COMPLETED")["ended_at"]
    assert_loaded(cluster, small, people(1000))
    assert_loaded(cluster, big, people(ROWS))


def test_a_paused_big_job_is_not_in_the_way_and_loses_nothing(
    cluster: Cluster, people: People, organisation: str
) -> None:
    big = cluster.upload(people(6000), f"{organisation}-big", rows_per_second=100)
    cluster.wait_rows(big, 200)
    assert cluster.act(big, "pause")["state"] == "PAUSED"
    for number in range(3):
        small = cluster.upload(people(1000), f"{organisation}-{number}")
        cluster.wait_state(small, "COMPLETED")
        assert_loaded(cluster, small, people(1000))
    cluster.rate(big, None)
    cluster.act(big, "resume")
    cluster.wait_state(big, "COMPLETED")
    assert_loaded(cluster, big, people(6000))
