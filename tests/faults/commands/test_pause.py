"""PAUSED is a promise: not a row more is written, whatever the workers do, until someone resumes the job."""

from __future__ import annotations

import random

import pytest

from tests.conftest import People
from tests.faults.evidence import assert_loaded, assert_still, count
from tests.support.processes.cluster import Cluster

ROWS = 6000
MOMENTS = 4


@pytest.mark.parametrize("seed", range(5))
def test_a_pause_at_any_moment_holds_and_a_resume_completes(
    cluster: Cluster, people: People, organisation: str, seed: int
) -> None:
    file = people(ROWS)
    moments = sorted(random.Random(seed).sample(range(ROWS // 6), MOMENTS))
    # As fast as it goes, the job could be over between two looks at it.
    job_id = cluster.upload(file, organisation, rows_per_second=300)
    for moment in moments:
        cluster.wait_rows(job_id, moment)
        paused = cluster.act(job_id, "pause")
        assert paused["state"] == "PAUSED"
        written = count(cluster.settings, job_id)
        assert sum(lane["applied_rows"] for lane in paused["lanes"]) == written
        assert_still(cluster.settings, job_id, written)
        assert cluster.act(job_id, "resume")["state"] == "RUNNING"
    cluster.rate(job_id, None)
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)


def test_a_pause_before_the_first_row(cluster: Cluster, people: People, organisation: str) -> None:
    file = people(ROWS)
    job_id = cluster.upload(file, organisation, rows_per_second=100)
    assert cluster.act(job_id, "pause")["state"] == "PAUSED"
    assert_still(cluster.settings, job_id, count(cluster.settings, job_id))
    cluster.rate(job_id, None)
    cluster.act(job_id, "resume")
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)


def test_a_paused_job_stays_so_while_workers_join_leave_and_die(
    cluster: Cluster, people: People, organisation: str
) -> None:
    file = people(ROWS)
    job_id = cluster.upload(file, organisation, rows_per_second=100)
    cluster.wait_rows(job_id, 100)
    cluster.act(job_id, "pause")
    written = count(cluster.settings, job_id)
    assert 0 < written < ROWS
    first, second = cluster.worker, cluster.start("worker")
    assert_still(cluster.settings, job_id, written)
    first.stop()
    third = cluster.start("worker")
    assert_still(cluster.settings, job_id, written)
    second.kill()
    assert_still(cluster.settings, job_id, written)
    third.kill()
    cluster.start("worker")
    assert_still(cluster.settings, job_id, written)
    assert cluster.job(job_id)["state"] == "PAUSED"
    cluster.rate(job_id, None)
    cluster.act(job_id, "resume")
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)
