"""Two uploads of one organisation never run at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from tests.conftest import People
from tests.faults.evidence import assert_loaded, count
from tests.support.processes.cluster import Cluster

ROWS = 3000


def test_the_second_upload_is_refused_and_names_the_first(cluster: Cluster, people: People, organisation: str) -> None:
    first = cluster.upload(people(ROWS), organisation, rows_per_second=100)
    answer = cluster.send(people(1000), organisation)
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert error["details"]["job_id"] == first
    assert first in error["message"]
    cluster.rate(first, None)
    cluster.wait_state(first, "COMPLETED")
    assert_loaded(cluster, first, people(ROWS))


def test_queued_uploads_start_one_by_one_once_the_one_before_has_ended(
    cluster: Cluster, people: People, organisation: str
) -> None:
    first = cluster.upload(people(ROWS), organisation, rows_per_second=100)
    second = cluster.upload(people(1000), organisation, if_busy="queue")
    third = cluster.upload(people(1000, 2), organisation, if_busy="queue")
    assert cluster.act(first, "pause")["state"] == "PAUSED"
    assert [cluster.job(job_id)["state"] for job_id in (second, third)] == ["QUEUED", "QUEUED"]
    assert cluster.act(first, "terminate")["state"] == "ROLLED_BACK"
    cluster.wait_state(third, "COMPLETED")
    jobs = [cluster.job(job_id) for job_id in (first, second, third)]
    for before, after in pairwise(jobs):
        assert before["ended_at"] <= after["started_at"]
    assert count(cluster.settings, first) == 0
    assert_loaded(cluster, second, people(1000))
    assert_loaded(cluster, third, people(1000, 2))


def test_of_many_at_the_same_moment_one_is_taken(cluster: Cluster, people: People, organisation: str) -> None:
    file = people(ROWS)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: cluster.send(file, organisation, rows_per_second=100), range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    (job_id,) = (answer.json()["id"] for answer in answers if answer.status_code == 201)
    assert {answer.json()["error"]["details"]["job_id"] for answer in answers if answer.status_code == 409} == {job_id}
    cluster.rate(job_id, None)
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)


def test_a_queued_upload_survives_the_death_of_the_worker(cluster: Cluster, people: People, organisation: str) -> None:
    first = cluster.upload(people(ROWS), organisation, rows_per_second=100)
    second = cluster.upload(people(1000), organisation, if_busy="queue")
    cluster.worker.kill()
    cluster.start("worker")
    assert cluster.job(second)["state"] == "QUEUED"
    cluster.rate(first, None)
    cluster.wait_state(second, "COMPLETED")
    assert cluster.job(first)["ended_at"] <= cluster.job(second)["started_at"]
    assert_loaded(cluster, first, people(ROWS))
    assert_loaded(cluster, second, people(1000))
