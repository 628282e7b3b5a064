"""Workers join, leave in good order and die while an upload runs; its partitions change hands each time."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import People
from tests.faults.evidence import assert_loaded, published
from tests.support.processes.cluster import Cluster

ROWS = 6000


@pytest.mark.parametrize("seed", range(2))
def test_workers_come_and_go_during_an_upload(cluster: Cluster, people: People, organisation: str, seed: int) -> None:
    choice, file = random.Random(seed), people(ROWS)
    moments = sorted(choice.sample(range(ROWS // 60, ROWS // 2), 2))
    job_id = cluster.upload(file, organisation, rows_per_second=1200)
    cluster.wait_rows(job_id, moments[0])
    second = cluster.start("worker")
    cluster.wait_rows(job_id, moments[1])
    leaving, dying = choice.sample([cluster.worker, second], 2)
    leaving.stop()
    third = cluster.launch("worker")
    dying.kill()
    cluster.wait_ready(third)
    cluster.rate(job_id, None)
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)


@pytest.mark.parametrize("rows_before", [0, 1, 300])
def test_a_worker_dies_that_has_hardly_begun(
    cluster: Cluster, people: People, organisation: str, rows_before: int
) -> None:
    """Nothing of its partitions is committed yet, and the records come while the table is still being recovered."""
    file = people(ROWS // 2)
    second = cluster.start("worker")
    job_id = cluster.upload(file, organisation, rows_per_second=100)
    cluster.wait_rows(job_id, rows_before)
    second.kill()
    cluster.act(job_id, "pause")
    cluster.rate(job_id, None)
    cluster.act(job_id, "resume")
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)


def test_an_upload_started_without_any_worker_waits_for_one(
    cluster: Cluster, people: People, organisation: str
) -> None:
    file = people(1000)
    cluster.worker.stop()
    commands = published(cluster.settings, "commands")
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(cluster.send, file, organisation)
        cluster.wait(lambda: published(cluster.settings, "commands") > commands, "the command is on its topic")
        assert not sent.done(), "nobody can answer it"
        cluster.start("worker")
        assert sent.result().status_code in (201, 503), "503: it has taken effect, but too late for this answer"
    asked = {"organisation": organisation}
    (job,) = cluster.wait(lambda: cluster.call("GET", "/v1/jobs", params=asked)["jobs"], "the job is made")
    job_id = job["id"]
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)
