"""A worker dies in the middle of an upload, with requests in flight; another one goes on from its checkpoints."""

from __future__ import annotations

import random

import pytest

from tests.conftest import People
from tests.faults.evidence import assert_loaded
from tests.support.processes.cluster import Cluster

ROWS = 6000


@pytest.mark.parametrize("seed", range(3))
def test_an_upload_survives_the_death_of_its_only_worker(
    cluster: Cluster, people: People, organisation: str, seed: int
) -> None:
    file = people(ROWS)
    job_id = cluster.upload(file, organisation, rows_per_second=400)
    cluster.wait_rows(job_id, random.Random(seed).randrange(1, ROWS // 2))
    cluster.worker.kill()
    assert cluster.job(job_id)["state"] == "RUNNING"
    cluster.start("worker")
    cluster.rate(job_id, None)
    assert cluster.wait_state(job_id, "COMPLETED")["reason"] is None
    assert_loaded(cluster, job_id, file)
