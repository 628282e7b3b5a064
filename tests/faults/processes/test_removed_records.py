"""Kafka has removed old commands and old history, as their retention has it: nothing that is still needed is lost."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from runtime.clients import librdkafka_config
from schemas.messages.codec import encode
from schemas.messages.commands import SetRate
from schemas.topics import TopicName, topic_name
from tests.conftest import MakeCluster, People
from tests.faults.evidence import assert_loaded, published
from tests.support.processes.cluster import Cluster
from tests.support.processes.upstream import commanded
from tests.support.waiting import PATIENCE, wait_until

ROWS = 1000


def remove(cluster: Cluster, *names: TopicName) -> None:
    """Remove every record there is, as Kafka does where none has come for longer than the topic's retention."""
    admin = AdminClient(librdkafka_config(cluster.settings))
    ends = [TopicPartition(topic_name(cluster.settings.prefix, name), 0, -1) for name in names]
    for future in admin.delete_records(ends).values():
        future.result(PATIENCE)


def forget_offsets(cluster: Cluster) -> None:
    """As Kafka does where no worker has run for a week (`offsets.retention.minutes`)."""
    group, admin = f"{cluster.settings.prefix}-workers", AdminClient(librdkafka_config(cluster.settings))

    def forgotten() -> bool:
        try:
            admin.delete_consumer_groups([group])[group].result(PATIENCE)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NON_EMPTY_GROUP:
                raise
            return False  # the worker that has stopped is still in it
        return True

    wait_until(forgotten, "the offsets are forgotten")


def histories(cluster: Cluster, *job_ids: str) -> list[list[str]]:
    return [cluster.events(job_id) for job_id in job_ids]


def test_a_worker_goes_on_whatever_retention_has_removed(make_cluster: MakeCluster, people: People) -> None:
    file = people(ROWS)
    cluster = make_cluster()
    ended = str(cluster.send(file, key="monday").json()["id"])
    cluster.wait_state(ended, "COMPLETED")
    paused = cluster.upload(file, "globex", rows_per_second=10)
    cluster.wait_rows(paused, 1)
    cluster.act(paused, "pause")
    # The last command is one that was refused: no state has its offset.
    assert cluster.request("POST", f"/v1/jobs/{ended}/pause", json={}).status_code == 409
    before = histories(cluster, ended, paused)

    cluster.worker.stop()
    forget_offsets(cluster)
    worker = cluster.start("worker")
    queued = cluster.upload(file)  # behind everything that came again
    cluster.wait_state(queued, "COMPLETED")
    seen = [list(dict.fromkeys(events)) for events in histories(cluster, ended, paused)]
    assert seen == before, "a command that comes again changes nothing"

    worker.stop()
    remove(cluster, "commands", "reports")
    forget_offsets(cluster)
    end = published(cluster.settings, "commands")
    worker = cluster.start("worker")
    assert published(cluster.settings, "commands") == end, "it goes on at the end, and asks for nothing"
    assert cluster.send(file, key="monday").json()["id"] == ended, "a repeat is known by the job"
    cluster.rate(paused, None)
    cluster.act(paused, "resume")
    cluster.wait_state(paused, "COMPLETED")
    for job_id in (ended, paused, queued):
        assert_loaded(cluster, job_id, file)

    # A command that came while no worker ran, and was removed before one did: the offset of the group is out of range.
    worker.stop()
    lost, kept = (encode(SetRate(job_id=ended, rows_per_second=rate)) for rate in (1.0, 2.0))
    commanded(cluster.settings, ended, lost)
    remove(cluster, "commands", "job-events")
    commanded(cluster.settings, ended, kept)
    cluster.start("worker")
    cluster.wait(lambda: cluster.events(ended) == ["!SetRate"], "the worker has gone on behind the gap")
    assert cluster.job(ended)["state"] == "COMPLETED"
    cluster.api.stop()
    cluster.start("api")
    assert cluster.events(ended) == ["!SetRate"] and cluster.events(paused) == []
    last = cluster.upload(file)
    cluster.wait_state(last, "COMPLETED")
    assert_loaded(cluster, last, file)
    assert cluster.events(last)[-1] == "Completed"
