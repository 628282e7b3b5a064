"""Topics: those that are missing are made, partitions are added on request, and what differs is told."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from runtime.clients import librdkafka_config
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from schemas.topics import BROKERS_TIME, FOREVER, GROWING, KEEPING, Topic, topic_name, topics

QUIET: Final = 2
"""A log level of librdkafka: errors are raised to the caller, and need no log line."""
_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


class ShrinkError(Exception):
    """A topic can't lose partitions. Nothing has been changed."""


def _admin(settings: Settings) -> AdminClient:
    return AdminClient({**librdkafka_config(settings), "log_level": QUIET})


def wanted_topics(settings: Settings) -> tuple[Topic, ...]:
    """Every topic as it should be."""
    return topics(
        settings.prefix,
        settings.topic_partitions,
        settings.topic_replication,
        settings.command_retention_days,
        settings.history_days,
    )


def provision_topics(settings: Settings) -> list[str]:
    """Make the missing topics; answers how existing ones differ from what they should be.

    It alters what is safe to alter: records carry Kafka's time, which older versions did not ask for, and the topics of
    commands and of the history keep their records for as long as the settings say (see `_is_ours_to_alter`).
    """
    admin = _admin(settings)
    wanted = wanted_topics(settings)
    existing = admin.list_topics(timeout=_SECONDS).topics
    missing = [topic for topic in wanted if topic.name not in existing]
    futures = (
        admin.create_topics(
            [NewTopic(t.name, t.partitions, settings.topic_replication, config=dict(t.config)) for t in missing]
        )
        if missing
        else {}
    )
    for name, future in futures.items():
        try:
            future.result()
            log.info("topic %s is made", name, extra=as_event("migrate.changed", topic=name))
        except KafkaException as error:
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise
    present = [topic for topic in wanted if topic.name in existing]
    found = {topic.name: existing[topic.name] for topic in present}
    return [
        *_count_differences(settings, present, {name: len(topic.partitions) for name, topic in found.items()}),
        *_replication_differences(settings, found),
        *_config_differences(admin, present, settings, topic_name(settings.prefix, "reports") not in existing),
    ]


def grow(settings: Settings, partitions: int) -> None:
    """Raise the topics of blocks, lanes and plans to `partitions` partitions; all of them, or none.

    Jobs keep the number they began with. The inbox keeps its own: where the rows of a job meet must not change.

    Raises:
        ShrinkError: a topic has more. Nothing has been changed.
        KafkaException: Kafka refused, or did not answer. Trying again later helps if it did not answer.
    """
    admin = _admin(settings)
    existing = admin.list_topics(timeout=_SECONDS).topics
    names = [name for kind in GROWING if (name := topic_name(settings.prefix, kind)) in existing]
    counts = {name: len(existing[name].partitions) for name in names}
    larger = {name: count for name, count in counts.items() if count > partitions}
    if larger or not 1 <= partitions <= MOST_PARTITIONS:
        told = ", ".join(f"{name} has {count}" for name, count in larger.items()) or f"at most {MOST_PARTITIONS}"
        raise ShrinkError(f"{partitions} partitions can't be had ({told}): a topic can't lose any; nothing has changed")
    growing = [NewPartitions(name, partitions) for name, count in counts.items() if count < partitions]
    for name, future in (admin.create_partitions(growing) if growing else {}).items():
        future.result()
        log.info(
            "topic %s has %d partitions now, and had %d", name, partitions, counts[name],
            extra=as_event("migrate.changed", topic=name),
        )  # fmt: skip


MOST_PARTITIONS: Final = 256
"""As SLUICE_TOPIC_PARTITIONS says."""


def _count_differences(settings: Settings, wanted: Iterable[Topic], counts: dict[str, int]) -> list[str]:
    keeping = {topic_name(settings.prefix, kind) for kind in KEEPING}
    differences = []
    for topic in wanted:
        count = counts[topic.name]
        if count == topic.partitions or topic.name in keeping:
            continue
        if count < topic.partitions:
            what = (
                f"`sluice migrate --partitions {topic.partitions}` adds them, or set SLUICE_TOPIC_PARTITIONS to {count}"
            )
        else:
            what = f"set SLUICE_TOPIC_PARTITIONS to {count}, since a topic can't lose any, or use another SLUICE_PREFIX"
        differences.append(f"topic {topic.name} has {count} partitions, expected {topic.partitions}: {what}")
    kept = {counts[name] for name in keeping if name in counts}
    if len(kept) > 1:
        differences.append(f"the topics {', '.join(sorted(keeping))} have {sorted(kept)} partitions: they need as many")
    return differences


def _replication_differences(settings: Settings, found: dict[str, Any]) -> list[str]:
    differences = []
    for name, topic in found.items():
        factors = {len(partition.replicas) for partition in topic.partitions.values()}
        if factors and factors != {settings.topic_replication}:
            have = " and ".join(map(str, sorted(factors)))
            differences.append(
                f"topic {name} has replication {have}, expected {settings.topic_replication}: move its replicas with "
                f"kafka-reassign-partitions.sh, or set SLUICE_TOPIC_REPLICATION to match"
            )
    return differences


def _is_ours_to_alter(settings: Settings, topic: str, key: str, found: str | None, upgrading: bool) -> bool:
    """Whether a topic's setting follows ours. A retention that somebody has altered by hand stays as it is, unless the
    setting has been given: what Kafka removes does not come back. `upgrading`: the topics are those of a version up to
    0.2, which kept both of these for ever, and had no topic `reports`.
    """
    if key != "retention.ms":
        return key in BROKERS_TIME
    following = {
        topic_name(settings.prefix, "commands"): "command_retention_days",
        topic_name(settings.prefix, "job-events"): "history_retention_days",
    }
    made_so = upgrading and found == FOREVER
    return topic in following and (made_so or following[topic] in settings.model_fields_set)


def _config_differences(
    admin: AdminClient, wanted: list[Topic], settings: Settings, upgrading: bool = False
) -> list[str]:
    if not wanted:
        return []
    resources = {ConfigResource(ResourceType.TOPIC, topic.name): topic for topic in wanted}
    differences = []
    for resource, future in admin.describe_configs(list(resources)).items():
        actual = future.result()
        topic = next(topic for topic in wanted if topic.name == resource.name)
        for key, value in topic.config.items():
            if key not in actual or actual[key].value == value:
                continue
            ours = _is_ours_to_alter(settings, topic.name, key, actual[key].value, upgrading)
            if ours and _altered(admin, topic.name, key, value):
                log.info(
                    "topic %s had %s=%s, and has %s now", topic.name, key, actual[key].value, value,
                    extra=as_event("migrate.changed", topic=topic.name),
                )  # fmt: skip
                continue
            found = f"topic {topic.name} has {key}={actual[key].value}, expected {value}"
            differences.append(f"{found}: alter it, or accept the difference")
    return differences


def _altered(admin: AdminClient, topic: str, key: str, value: str) -> bool:
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    try:
        for future in admin.incremental_alter_configs([resource]).values():
            future.result()
    except KafkaException as error:
        log.warning("topic %s can't be altered: %s", topic, error, extra=as_event("migrate.differs", topic=topic))
        return False
    return True
