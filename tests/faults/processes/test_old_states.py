"""A new worker reads the control table from its beginning: states that are over must not move it."""

from __future__ import annotations

import time

from confluent_kafka import Producer

from runtime.clients import librdkafka_config
from schemas.job import Job, State
from schemas.messages.codec import encode
from schemas.topics import topic_name
from tests.conftest import MakeCluster, People
from tests.faults.evidence import assert_loaded, assert_still, count
from tests.support.processes.cluster import Cluster
from tests.support.waiting import PATIENCE

ROWS = 5000
STATES = 10_000


def fill_the_table(cluster: Cluster) -> None:
    """Put many states of other jobs between what was and what is: to read them takes a worker a while."""
    producer = Producer(librdkafka_config(cluster.settings, queue_buffering_max_messages=STATES))
    topic = topic_name(cluster.settings.prefix, "jobs")
    now = time.time_ns() // 1_000_000
    for number in range(STATES):
        job = Job(
            id=f"filler-{number}",
            operation="upload",
            dataset="people",
            organisation="filler",
            created_by="test",
            state=State.ROLLED_BACK,
            created_at=now,
            ended_at=now,
            command_offset=0,
            partitions=cluster.settings.topic_partitions,
        )
        producer.produce(topic, encode(job), job.id.encode())
    assert producer.flush(PATIENCE) == 0


def test_a_paused_job_is_not_moved_by_its_earlier_states(make_cluster: MakeCluster, people: People) -> None:
    file = people(ROWS)
    cluster = make_cluster()
    job_id = cluster.upload(file, rows_per_second=10)
    cluster.wait_rows(job_id, 1)
    fill_the_table(cluster)
    assert cluster.act(job_id, "pause")["state"] == "PAUSED"
    written = count(cluster.settings, job_id)
    assert 0 < written < ROWS
    cluster.worker.kill()
    cluster.start("worker")
    assert_still(cluster.settings, job_id, written)
    cluster.rate(job_id, None)  # which is answered once the worker knows the whole table
    assert_still(cluster.settings, job_id, written)
    cluster.act(job_id, "resume")
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)
