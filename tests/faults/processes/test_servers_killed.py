"""Elasticsearch or Kafka dies and comes back, during an upload too; jobs go on by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from devstack.ephemeral import Servers
from runtime.clients import librdkafka_config
from tests.conftest import MakeCluster, People
from tests.faults.evidence import assert_loaded, assert_still, count
from tests.support.processes.servers import own_servers
from tests.support.waiting import PATIENCE, elasticsearch

ROWS = 6000


@pytest.fixture(scope="module")
def stack(test_home: Path) -> Iterator[Servers]:
    """Servers of this file alone."""
    with own_servers(test_home / "killed") as servers:
        yield servers


def test_data_survives_the_death_of_both_servers(stack: Servers) -> None:
    settings = stack.settings
    admin = AdminClient(librdkafka_config(settings))
    admin.create_topics([NewTopic("crash", 1, 1)])["crash"].result(timeout=PATIENCE)
    producer = Producer(librdkafka_config(settings))
    for number in range(1000):
        producer.produce("crash", str(number))
    assert producer.flush(PATIENCE) == 0
    with elasticsearch(settings) as client:
        for number in range(20):
            client.index(index="crash", id=str(number), document={"number": number})

    stack.kafka.kill()
    stack.elasticsearch.kill()
    stack.start()

    consumer = Consumer(librdkafka_config(settings, group_id="crash"))
    assert consumer.get_watermark_offsets(TopicPartition("crash", 0), timeout=PATIENCE) == (0, 1000)
    consumer.close()
    with elasticsearch(settings) as client:
        client.indices.refresh(index="crash")
        assert client.count(index="crash")["count"] == 20
        client.indices.delete(index="crash")
    admin.delete_topics(["crash"])["crash"].result(timeout=PATIENCE)


def test_an_upload_survives_the_death_of_elasticsearch_and_control_works_meanwhile(
    stack: Servers, make_cluster: MakeCluster, people: People
) -> None:
    file = people(ROWS)
    cluster = make_cluster()
    job_id = cluster.upload(file, "acme", rows_per_second=100)
    left_alone = cluster.upload(file, "third", rows_per_second=100)
    stopped = cluster.upload(people(2000), "other", rows_per_second=20)
    for uploading in (job_id, left_alone):
        cluster.wait_rows(uploading, 1)
    stack.elasticsearch.kill()
    try:
        cluster.wait(lambda: "Elasticsearch can't be reached" in cluster.worker.log, "the worker has noticed")
        for uploading in (job_id, left_alone, stopped):
            assert cluster.job(uploading)["state"] == "RUNNING"
            cluster.rate(uploading, None)
        assert cluster.act(job_id, "pause")["state"] == "PAUSED"
        assert cluster.act(job_id, "resume")["state"] == "RUNNING"
        assert cluster.act(stopped, "terminate", wait=None)["state"] == "TERMINATING"
    finally:
        stack.elasticsearch.start()
        stack.elasticsearch.wait_ready()
    cluster.wait_state(stopped, "ROLLED_BACK")
    assert count(cluster.settings, stopped) == 0
    for uploading in (job_id, left_alone):
        cluster.wait_state(uploading, "COMPLETED")
        assert_loaded(cluster, uploading, file)


def test_a_pause_waits_for_what_an_elasticsearch_that_stands_still_may_do_yet(
    stack: Servers, make_cluster: MakeCluster, people: People
) -> None:
    """It has requests that nobody waits for any more, and carries them out when it goes on."""
    late = "Elasticsearch takes too long to answer"
    file = people(ROWS)
    cluster = make_cluster()
    job_id = cluster.upload(file, rows_per_second=100)
    cluster.wait_rows(job_id, 1)
    stack.elasticsearch.freeze()
    try:
        cluster.wait(lambda: late in cluster.worker.log, "a request has taken too long")
        cluster.act(job_id, "pause", wait=None)
        tries = cluster.worker.log.count(late)
        cluster.wait(lambda: cluster.worker.log.count(late) >= tries + 4, "it has been made again and again")
        assert cluster.job(job_id)["state"] == "PAUSING"
    finally:
        stack.elasticsearch.wake()
    cluster.wait_state(job_id, "PAUSED")
    assert_still(cluster.settings, job_id, count(cluster.settings, job_id))
    cluster.rate(job_id, None)
    cluster.act(job_id, "resume")
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)


def test_an_upload_survives_the_death_of_kafka(stack: Servers, make_cluster: MakeCluster, people: People) -> None:
    """A process may end when it has lost Kafka: its supervisor starts another one, and so does this cluster."""
    file = people(ROWS)
    cluster = make_cluster(auto_restart=True)
    cluster.expect(".*")
    job_id = cluster.upload(file, rows_per_second=600)
    cluster.wait_rows(job_id, ROWS // 10)
    stack.kafka.kill()
    stack.kafka.start()
    stack.kafka.wait_ready()
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)
