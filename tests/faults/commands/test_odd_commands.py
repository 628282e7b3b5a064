"""Commands that come twice, too late, for nobody, or as garbage, straight onto the topic."""

from __future__ import annotations

from confluent_kafka import Producer

from runtime.clients import librdkafka_config
from schemas.job import LaneTotals, RestedLane
from schemas.messages.codec import encode
from schemas.messages.commands import Command, LanesDone, LanesRested, PauseJob, ResumeJob, RollbackJob, SetRate
from schemas.topics import TopicName, topic_name
from tests.conftest import People
from tests.faults.evidence import assert_loaded, assert_still, count, rejections
from tests.support.processes.cluster import Cluster
from tests.support.waiting import PATIENCE

ROWS = 4000


def produce(
    cluster: Cluster, *values: Command | bytes | None, key: bytes = b"?", topic: TopicName = "commands"
) -> None:
    producer = Producer(librdkafka_config(cluster.settings, linger_ms=60_000))  # in one batch: nothing comes in between
    for value in values:
        data = value if value is None or isinstance(value, bytes) else encode(value)
        producer.produce(topic_name(cluster.settings.prefix, topic), data, key)
    assert producer.flush(PATIENCE) == 0


def test_commands_twice_and_out_of_place(cluster: Cluster, people: People, organisation: str) -> None:
    file = people(ROWS)
    job_id = cluster.upload(file, organisation, rows_per_second=40)
    cluster.wait_rows(job_id, 1)
    pause, resume = PauseJob(job_id=job_id, by="ann"), ResumeJob(job_id=job_id, by="ann")
    produce(cluster, pause, pause, resume, RollbackJob(job_id=job_id))
    cluster.wait_state(job_id, "PAUSED")
    written = count(cluster.settings, job_id)
    assert_still(cluster.settings, job_id, written)
    asked = [event for event in cluster.events(job_id) if event != "InputCompleted"]  # the reader's, at its own time
    assert asked == ["Created", "Started", "PauseRequested", "!ResumeJob", "!RollbackJob", "Paused"]
    cluster.rate(job_id, None)
    produce(cluster, resume, resume)
    cluster.wait_state(job_id, "COMPLETED")
    produce(cluster, pause, resume)
    cluster.wait(lambda: cluster.events(job_id)[-2:] == ["!PauseJob", "!ResumeJob"], "both are refused")
    assert cluster.events(job_id).count("Resumed") == 1
    assert_loaded(cluster, job_id, file)


def test_reports_of_another_epoch_prove_nothing(cluster: Cluster, people: People, organisation: str) -> None:
    file = people(ROWS)
    job_id = cluster.upload(file, organisation)
    cluster.wait_rows(job_id, 1)
    done = {number: LaneTotals(rows_applied=1, blocks=1, last_row=1) for number in range(8)}
    rested = {number: RestedLane(epoch=0, totals=LaneTotals()) for number in range(8)}
    reports = LanesDone(job_id=job_id, run=7, lanes=done), LanesRested(job_id=job_id, epoch=0, lanes=rested)
    produce(cluster, *reports, topic="reports")
    produce(cluster, *reports)  # as a service could: they are refused
    cluster.wait(lambda: "!LanesRested" in cluster.events(job_id), "reports by the topic of the commands are refused")
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)


def test_what_is_no_command_is_recorded_and_harms_nobody(cluster: Cluster, people: People, organisation: str) -> None:
    garbage = [b"", b"{", b"\xff\xfe", b'{"type":"Explode","job_id":"x"}', b'{"type":"PauseJob"}', b"[1]", None]
    cluster.expect("this record is a dead letter now")
    nobody = f"nobody-{organisation.rsplit('-', 1)[1]}"
    produce(cluster, *garbage, PauseJob(job_id=nobody), SetRate(job_id=nobody, rows_per_second=-1), key=nobody.encode())
    job_id = cluster.upload(people(1000), organisation)
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, people(1000))
    refused = [(record.command, record.code) for record in rejections(cluster.settings) if record.job_id == nobody]
    assert refused == [("?", 400)] * len(garbage) + [("PauseJob", 404), ("SetRate", 400)]


def test_an_impossible_rate_is_refused(cluster: Cluster, people: People, organisation: str) -> None:
    file = people(ROWS)
    job_id = cluster.upload(file, organisation)
    produce(cluster, SetRate(job_id=job_id, rows_per_second=0), SetRate(job_id=job_id, rows_per_second=-5))
    cluster.wait_state(job_id, "COMPLETED")
    cluster.wait(lambda: cluster.events(job_id).count("!SetRate") == 2, "both rates are refused")
    assert_loaded(cluster, job_id, file)
