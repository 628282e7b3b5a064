"""An id that comes again once its job is forgotten: an Idempotency-Key that is used each month, an id of a service."""

from __future__ import annotations

from confluent_kafka import Producer

from runtime.clients import librdkafka_config
from schemas.indices import data_index
from schemas.messages.codec import encode
from schemas.messages.commands import PauseJob
from schemas.topics import topic_name
from tests.conftest import People
from tests.faults.evidence import rejections
from tests.support.processes.cluster import Cluster
from tests.support.processes.upstream import commanded
from tests.support.waiting import elasticsearch, wait_until
from verify.compare import compare


def forget(cluster: Cluster, job_id: str) -> None:
    """Take the job out of the control table, as the control agent does once its retention is over.

    Searches find its rows then: they are days old.
    """
    with elasticsearch(cluster.settings) as client:
        client.indices.refresh(index=data_index(cluster.settings.prefix, "people"))
    producer = Producer(librdkafka_config(cluster.settings))
    producer.produce(topic_name(cluster.settings.prefix, "jobs"), None, job_id)
    producer.flush()
    wait_until(lambda: cluster.request("GET", f"/v1/jobs/{job_id}").status_code == 404, "the job is forgotten")
    pause = encode(PauseJob(job_id=job_id, by="test"))

    def unknown() -> bool:
        """Whether the control agent, too, has forgotten it."""
        commanded(cluster.settings, job_id, pause)
        return any(refused.job_id == job_id and refused.code == 404 for refused in rejections(cluster.settings))

    wait_until(unknown, "a command for it is refused")


def test_the_rows_of_the_earlier_job_stay_and_none_of_the_new_one_vanishes(
    cluster: Cluster, people: People, organisation: str
) -> None:
    first, second, key = people(1000), people(1200, 2), f"monthly-{organisation}"
    job_id = cluster.upload(first, organisation, key=key)
    cluster.wait_state(job_id, "COMPLETED")
    forget(cluster, job_id)

    cluster.expect("an earlier job")
    assert cluster.upload(second, organisation, key=key) == job_id
    failed = cluster.wait_state(job_id, "FAILED")
    assert "1,000 rows" in failed["reason"] and "nothing was written" in failed["reason"]
    assert "Idempotency-Key" in failed["reason"], "it says what to do"
    assert compare(cluster.settings, job_id, "people", first).holds

    assert cluster.act(job_id, "rollback")["state"] == "ROLLED_BACK"
    assert compare(cluster.settings, job_id, "people", first).holds, "nothing of the earlier job is taken out"
    other = cluster.upload(second, organisation, key=f"{key}-2")
    cluster.wait_state(other, "COMPLETED")
    assert compare(cluster.settings, other, "people", second).holds


def test_an_id_whose_job_has_left_nothing_is_free_again(cluster: Cluster, people: People, organisation: str) -> None:
    key = f"undone-{organisation}"
    job_id = cluster.upload(people(1000), organisation, key=key)
    cluster.wait_state(job_id, "COMPLETED")
    cluster.act(job_id, "rollback")
    cluster.wait_state(job_id, "ROLLED_BACK")
    forget(cluster, job_id)
    assert cluster.upload(people(1200, 2), organisation, key=key) == job_id
    cluster.wait_state(job_id, "COMPLETED")
    assert compare(cluster.settings, job_id, "people", people(1200, 2)).holds
