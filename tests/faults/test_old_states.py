"""A new worker reads the control table from its beginning: states that are over must not move it."""

from __future__ import annotations

from confluent_kafka import Producer

from runtime.clients import librdkafka_config
from schemas.codec import encode
from schemas.commands import CreateJob, SetRate
from schemas.topics import topic_name
from tests.cluster import Cluster
from tests.conftest import MakeCluster, People
from tests.faults.evidence import assert_loaded, assert_still, count

ROWS = 30_000
STATES = 3000


def fill_the_table(cluster: Cluster) -> None:
    """Put many states of another job between what was and what is."""
    other = "another-job"
    producer = Producer(librdkafka_config(cluster.settings))
    topic = topic_name(cluster.settings.prefix, "commands")
    create = CreateJob(job_id=other, operation="upload", dataset="people", organisation="other")
    for command in (create, *(SetRate(job_id=other, rows_per_second=rate) for rate in range(1, STATES + 1))):
        producer.produce(topic, encode(command), other.encode())
        producer.poll(0)
    assert producer.flush(30) == 0

    def all_taken_in() -> bool:
        answer = cluster.request("GET", f"/v1/jobs/{other}")
        return answer.status_code == 200 and answer.json()["options"].get("rows_per_second") == STATES

    cluster.wait(all_taken_in, 60, "the other job has its last rate")


def test_a_paused_job_is_not_moved_by_its_earlier_states(make_cluster: MakeCluster, people: People) -> None:
    file = people(ROWS)
    cluster = make_cluster()
    job_id = cluster.upload(file, rows_per_second=1000)
    fill_the_table(cluster)
    assert cluster.act(job_id, "pause")["state"] == "PAUSED"
    written = count(cluster.settings, job_id)
    assert 0 < written < ROWS
    cluster.worker.kill()
    cluster.start("worker")
    assert_still(cluster.settings, job_id, written)
    cluster.rate(job_id, None)
    cluster.act(job_id, "resume")
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)
