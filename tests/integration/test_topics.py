"""The topics as a real Kafka has them: new ones, and those that an older version made."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from math import inf

import pytest
from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from runtime.clients import librdkafka_config
from runtime.clock import now_ms
from runtime.provision import provision_topics
from runtime.settings import Settings
from schemas.topics import BROKERS_TIME, DAY_MS, topics
from tests.conftest import MakeSettings
from tests.support.processes.cluster import forget
from tests.support.waiting import PATIENCE, wait_until

LONG_AGO, FAR_AHEAD = 1, 4_102_444_800_000


@pytest.fixture
def config(settings: MakeSettings) -> Iterator[Settings]:
    made = settings(topic_partitions=2)
    yield made
    forget(made)


def kept_by_time(config: Settings) -> list[str]:
    """Topics whose records are removed after a time."""
    return [topic.name for topic in topics(config.prefix, 2) if int(topic.config.get("retention.ms", -1)) > 0]


def produced(config: Settings, topic: str, *times: int) -> list[Message]:
    """The records of these times as a consumer gets them; a time that Kafka refuses has none."""
    producer, partition = Producer(librdkafka_config(config)), 0
    places: list[int] = []
    for at in times:
        producer.produce(
            topic,
            b"x",
            partition=partition,
            timestamp=at,
            on_delivery=lambda error, record: None if error else places.append(record.offset()),
        )
    assert producer.flush(PATIENCE) == 0
    if not places:
        return []
    consumer = Consumer(librdkafka_config(config, group_id="unused"))
    try:
        consumer.assign([TopicPartition(topic, partition, min(places))])
        found: list[Message] = []
        wait_until(lambda: found.extend(consumer.consume(len(places), 0.1)) or len(found) >= len(places), "records")
        return found
    finally:
        consumer.close()


def test_records_carry_kafkas_time_whatever_their_senders_clock_says(config: Settings) -> None:
    assert provision_topics(config) == []
    names = kept_by_time(config)
    assert {name.split(".")[1] for name in names} >= {"commands", "inbox", "rows", "plans", "progress", "dead-letters"}
    for name in names:
        for record in (found := produced(config, name, LONG_AGO, FAR_AHEAD)):
            kind, at = record.timestamp()
            assert kind == TIMESTAMP_LOG_APPEND_TIME and abs(at - time.time() * 1000) < DAY_MS
        assert len(found) == 2


def test_topics_of_an_older_version_are_altered_and_the_rest_is_reported(
    config: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    older = []
    for topic in topics(config.prefix, 2):
        kept = {key: value for key, value in topic.config.items() if key not in BROKERS_TIME}
        older.append(NewTopic(topic.name, topic.partitions, 1, config=kept))
    inbox = f"{config.prefix}.inbox"
    for topic in older:
        if topic.topic == inbox:
            topic.config["retention.ms"] = str(DAY_MS)
    admin = AdminClient(librdkafka_config(config))
    for future in admin.create_topics(older).values():
        future.result()
    an_hour_ago = now_ms() - DAY_MS // 24  # what is older than the topic keeps may be gone at once
    assert produced(config, inbox, an_hour_ago)[0].timestamp() == (TIMESTAMP_CREATE_TIME, an_hour_ago)
    with caplog.at_level(logging.INFO):
        differences = provision_topics(config)
    assert len(differences) == 1 and "retention.ms" in differences[0], differences
    told = [entry.getMessage() for entry in caplog.records if "message.timestamp.type" in entry.getMessage()]
    assert len(told) == len(kept_by_time(config)), told

    def carries_kafkas_time() -> bool:
        return [record.timestamp()[0] for record in produced(config, inbox, FAR_AHEAD)] == [TIMESTAMP_LOG_APPEND_TIME]

    wait_until(carries_kafkas_time, "the broker takes the new setting")
    assert len(produced(config, inbox, LONG_AGO, FAR_AHEAD)) == 2
    caplog.clear()
    assert provision_topics(config) == differences and not caplog.records


def test_commands_and_history_are_kept_for_as_long_as_the_settings_say(
    config: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    admin = AdminClient(librdkafka_config(config))
    names = commands, history = f"{config.prefix}.commands", f"{config.prefix}.job-events"
    older = [topic for topic in topics(config.prefix, 2, commands_days=inf, history_days=inf) if topic.name in names]
    for future in admin.create_topics([NewTopic(t.name, 1, 1, config=dict(t.config)) for t in older]).values():
        future.result()
    wait_until(lambda: set(names) <= set(admin.list_topics(timeout=PATIENCE).topics), "the broker lists them")

    def kept() -> list[str]:
        asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in names])
        found = {resource.name: future.result()["retention.ms"].value for resource, future in asked.items()}
        return [found[name] for name in names]

    def alter(topic: str, kept_ms: str) -> None:
        entry = ConfigEntry("retention.ms", kept_ms, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        for future in admin.incremental_alter_configs([resource]).values():
            future.result()

    with caplog.at_level(logging.INFO):
        assert provision_topics(config) == []
    wait_until(lambda: kept() == [str(30 * DAY_MS), str(400 * DAY_MS)], "topics of older versions follow")
    assert f"topic {commands} had retention.ms=-1, and has {30 * DAY_MS} now" in caplog.text

    alter(history, str(900 * DAY_MS))
    wait_until(lambda: kept()[1] == str(900 * DAY_MS), "someone has altered it by hand")
    (left,) = provision_topics(config)
    assert f"topic {history} has retention.ms={900 * DAY_MS}" in left
    alter(commands, "-1")
    wait_until(lambda: kept()[0] == "-1", "someone keeps the commands for ever")
    assert f"topic {commands} has retention.ms=-1, expected {30 * DAY_MS}" in "\n".join(provision_topics(config))
    assert kept()[0] == "-1"
    asked = Settings(
        **{**config.model_dump(exclude_unset=True), "history_retention_days": 500, "command_retention_days": "forever"}
    )
    assert provision_topics(asked) == []
    wait_until(lambda: kept()[1] == str(500 * DAY_MS), "a setting that is given counts")
