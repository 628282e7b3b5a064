"""Webhooks where receivers and API processes die: each event is delivered, and verified as a receiver does."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from devstack.ports import free_port
from runtime.clients import librdkafka_config
from schemas.job import Job, State
from schemas.messages.codec import encode
from schemas.messages.events import JobEvent
from schemas.topics import topic_name
from tests.conftest import People
from tests.support.processes.cluster import Cluster, Process
from tests.support.stubs.webhook_receiver import Received, Receiver, receiver
from tests.support.waiting import PATIENCE

STARTED_TYPES = ["sluice.job.created", "sluice.job.started", "sluice.job.completed"]


@pytest.fixture
def away() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def make(cluster: Cluster, to: Receiver, organisation: str, **more: Any) -> dict[str, Any]:
    body = {"url": f"{to.url}/hook", "organisation": organisation, **more}
    answer = cluster.request("POST", "/v1/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def verify(secret: str, received: Received) -> None:
    """As a receiver does. Raises WebhookVerificationError."""
    Verifier(secret).verify(received.body, received.headers)


def condition(cluster: Cluster, hook: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = cluster.call("GET", f"/v1/webhooks/{hook['id']}")
    return found


def of_job(to: Receiver, job_id: str) -> list[str]:
    """The types of the events that came, each once, in the order in which they came first."""
    return list(dict.fromkeys(one.event["type"] for one in to.got if one.event.get("subject") == job_id))


def test_a_receiver_that_dies_gets_everything_when_it_is_back(
    cluster: Cluster, people: People, organisation: str, away: Receiver
) -> None:
    other = f"{organisation}-b"
    with receiver() as well:
        dying, healthy = make(cluster, away, organisation, name="dying"), make(cluster, well, other)
        own = {"notify": f"{well.url}/own", "if_same": "allow"}
        first = cluster.upload(people(50), organisation, **own)
        cluster.wait_state(first, "COMPLETED")
        cluster.wait(lambda: of_job(away, first) == STARTED_TYPES, "the first job's events have come")
        away.stop()
        second = cluster.upload(people(50), organisation, if_same="allow")
        cluster.wait_state(second, "COMPLETED")
        cluster.wait(lambda: condition(cluster, dying)["condition"] == "failing", "it is shown as failing")
        third = cluster.upload(people(50), other)
        cluster.wait_state(third, "COMPLETED")
        cluster.wait(lambda: of_job(well, third) == STARTED_TYPES, "the other organisation waits for no one")
        shown = cluster.call("GET", f"/v1/webhooks/{dying['id']}/deliveries", params={"status": "pending"})
        assert {one["job_id"] for one in shown["deliveries"]} == {second}
        assert any("can't be reached" in (one["error"] or "") for one in shown["deliveries"])
        away.start()
        cluster.wait(lambda: of_job(away, second) == STARTED_TYPES, "what it missed comes when it is back")
        cluster.wait(lambda: condition(cluster, dying)["condition"] == "working", "it is shown as working")
        told = [one for one in well.got if one.path == "/own"]
        assert [one.event["type"] for one in told] == ["sluice.job.completed"], "a job's own address hears of its end"
    for one in away.got:
        verify(dying["secret"], one)
    for one in well.got:
        if one.path == "/hook":
            verify(healthy["secret"], one)
    data = away.got[-1].event["data"]
    assert (data["job"]["rows_applied"], data["job"]["organisation"]) == (50, organisation)


def test_an_api_that_dies_between_a_delivery_and_its_record_delivers_it_again(
    cluster: Cluster, people: People, organisation: str, away: Receiver
) -> None:
    hook = make(cluster, away, organisation)
    killed = threading.Event()

    def kill(received: Received) -> int:
        if received.event["type"] == "sluice.job.completed" and not killed.is_set():
            killed.set()
            cluster.api.kill()  # the receiver has the event, and its sender never learns of it
        return 204

    away.answer = kill
    job_id = cluster.upload(people(50), organisation)
    assert killed.wait(PATIENCE), "the job has completed, and the receiver was told"
    cluster.start("api")
    cluster.wait(lambda: away.types.count("sluice.job.completed") == 2, "it is delivered again")
    twice = [one for one in away.got if one.event["type"] == "sluice.job.completed"]
    assert len({one.id for one in twice}) == 1, "with the same id, by which a receiver knows it"
    assert len({one.body for one in twice}) == 1
    assert of_job(away, job_id) == STARTED_TYPES
    cluster.wait(lambda: condition(cluster, hook)["pending"] == 0, "nothing waits any more")
    for one in away.got:
        verify(hook["secret"], one)


def named(organisation: str, number: int) -> str:
    """The id of a job that only its history knows."""
    return f"many-{organisation[-6:]}-{number:05}"


def history(organisation: str, number: int) -> JobEvent:
    """An event of a job, as the control agent writes it."""
    job = Job(
        id=named(organisation, number), operation="upload", dataset="people", organisation=organisation,
        created_by="me", state=State.COMPLETED, created_at=1_790_000_000_000, command_offset=number, partitions=4,
    )  # fmt: skip
    return JobEvent(
        job_id=job.id, command_offset=number, at=1_790_000_000_000 + number, event="Completed", state=job.state, job=job
    )


def publish(cluster: Cluster, organisation: str, numbers: Iterable[int]) -> None:
    from confluent_kafka import Producer

    producer = Producer(librdkafka_config(cluster.settings))
    topic = topic_name(cluster.settings.prefix, "job-events")
    for number in numbers:
        record = history(organisation, number)
        producer.produce(topic, encode(record), record.job_id.encode())
    assert producer.flush(PATIENCE) == 0


@contextmanager
def second_api(cluster: Cluster) -> Iterator[Process]:
    """Another API process of the same installation."""
    settings = cluster.settings.model_copy(update={"api_port": free_port()})
    process = Process("api", 90, settings)
    try:
        cluster.wait(lambda: process.ready, "the second API is ready")
        yield process
    finally:
        process.kill()


def test_a_thousand_events_come_while_senders_are_killed(cluster: Cluster, organisation: str, away: Receiver) -> None:
    hook = make(cluster, away, organisation)
    with second_api(cluster) as second:
        publish(cluster, organisation, range(1000))
        cluster.wait(lambda: len(away.got) > 200, "some have come")
        cluster.api.kill()
        cluster.wait(lambda: len(away.ids()) > 500, "the other process delivers")
        cluster.start("api")
        second.kill()
        cluster.wait(lambda: len(away.ids()) == 1000, "all have come")
    cluster.wait(lambda: condition(cluster, hook)["pending"] == 0, "nothing waits any more")
    assert {one.event["subject"] for one in away.got} == {named(organisation, number) for number in range(1000)}
    for one in away.got:
        verify(hook["secret"], one)
    more = iter(range(1000, 10_000))

    def pruned() -> bool:
        """Deliveries of events that may be read again are kept; with later ones the older ones go."""
        if condition(cluster, hook)["pending"] == 0:  # on a busy machine more would come than go
            publish(cluster, organisation, [next(more) for _ in range(20)])
        kept = cluster.call("GET", f"/v1/webhooks/{hook['id']}/deliveries", params={"limit": 1000})
        return bool(0 < kept["total"] < 200)

    cluster.wait(pruned, "the newest are kept to be looked at, not all")


def test_a_frozen_sender_sends_no_more_when_it_wakes(cluster: Cluster, organisation: str, away: Receiver) -> None:
    hook = make(cluster, away, organisation)
    with second_api(cluster) as second:
        frozen = cluster.api
        frozen.excused = True
        frozen.freeze()
        try:
            publish(cluster, organisation, range(100))
            cluster.wait(lambda: len(away.ids()) == 100, "the other process has taken over, or had it before")
        finally:
            frozen.wake()
        publish(cluster, organisation, range(100, 200))
        cluster.wait(lambda: len(away.ids()) == 200, "all have come")
        assert len(away.got) == 200, "each by one process"
        assert second.alive
    cluster.wait(lambda: condition(cluster, hook)["pending"] == 0, "nothing waits any more")


def test_a_webhook_hears_only_of_what_it_asked_for(cluster: Cluster, organisation: str, away: Receiver) -> None:
    publish(cluster, organisation, range(1))
    hook = make(cluster, away, organisation, states=["FAILED"], name="failures")
    everything = make(cluster, away, organisation, name="everything")
    publish(cluster, organisation, range(1, 2))
    cluster.wait(lambda: len(away.got) == 1, "the newer event has come")
    verify(everything["secret"], away.got[0])
    assert away.got[0].event["subject"] == named(organisation, 1), "and not what was there before the webhook"
    assert condition(cluster, hook)["condition"] == "unused"
