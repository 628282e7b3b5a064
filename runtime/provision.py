"""Makes the topics and indices that are missing, and reports those that exist with other settings."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType
from elasticsearch import ApiError, BadRequestError, TransportError

from runtime.clients import elasticsearch, librdkafka_config
from runtime.datasets import load_datasets
from runtime.logs import configure_logging
from runtime.settings import Settings, settings
from schemas.datasets import DatasetError
from schemas.indices import KEPT_MAPPINGS, REPORT_MAPPINGS, data_index, data_mapping, index_name, index_settings
from schemas.topics import BROKERS_TIME, Topic, topics

QUIET = 2
"""A log level of librdkafka: errors are raised to the caller, and need no log line."""

Properties = dict[str, dict[str, object]]

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """Elasticsearch refuses an index. Trying again does not help; the message says what to change."""


def provision(settings: Settings) -> list[str]:
    """Make every topic and index that is missing; answers what exists but differs, in words, one line each.

    Raises:
        KafkaException, elasticsearch.ApiError, elasticsearch.TransportError: the server refused or did not answer;
            trying again later helps if it did not answer.
        DatasetError, RefusedError: trying again does not help.
    """
    load_datasets(settings.datasets_folder)  # before anything is made
    return [*provision_topics(settings), *provision_indices(settings)]


def provision_topics(settings: Settings) -> list[str]:
    """Make the missing topics; answers how existing ones differ from what they should be.

    It alters the setting that is safe to alter: records carry Kafka's time, which older versions did not ask for.
    """
    admin = AdminClient({**librdkafka_config(settings), "log_level": QUIET})
    wanted = topics(settings.prefix, settings.topic_partitions)
    existing = admin.list_topics(timeout=10).topics
    missing = [topic for topic in wanted if topic.name not in existing]
    futures = (
        admin.create_topics(
            [NewTopic(t.name, t.partitions, settings.topic_replication, config=dict(t.config)) for t in missing]
        )
        if missing
        else {}
    )
    for future in futures.values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise
    present = [topic for topic in wanted if topic.name in existing]
    counts = {topic.name: len(existing[topic.name].partitions) for topic in present}
    return [*_count_differences(present, counts), *_config_differences(admin, present)]


def _count_differences(wanted: Iterable[Topic], counts: dict[str, int]) -> list[str]:
    return [
        f"topic {topic.name} has {counts[topic.name]} partitions, expected {topic.partitions}: "
        f"set SLUICE_TOPIC_PARTITIONS to match, or use another SLUICE_PREFIX"
        for topic in wanted
        if counts[topic.name] != topic.partitions
    ]


def _config_differences(admin: AdminClient, wanted: list[Topic]) -> list[str]:
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
            if key in BROKERS_TIME and _altered(admin, topic.name, key, value):
                log.info("topic %s had %s=%s, and has %s now", topic.name, key, actual[key].value, value)
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
        log.warning("topic %s can't be altered: %s", topic, error)
        return False
    return True


def provision_indices(settings: Settings) -> list[str]:
    """Make the missing indices, and a template of each; answers which existing ones lack a field.

    Reports get the fields that are new in this version; `rebuild` fills them in. With the templates an index that
    someone deletes comes back with its mapping, when the next document is written.
    """
    client = elasticsearch(settings)
    reports = {index_name(settings.prefix, name): mapping for name, mapping in REPORT_MAPPINGS.items()}
    mappings = {**reports, **{index_name(settings.prefix, name): kept for name, kept in KEPT_MAPPINGS.items()}}
    for dataset in load_datasets(settings.datasets_folder).values():
        mappings[data_index(settings.prefix, dataset.name)] = data_mapping(dataset)
    differences = []
    with client:
        for name, mapping in mappings.items():
            shards = settings.elasticsearch_shards if "-data-" in name else 1
            own = index_settings(settings.elasticsearch_replicas, shards)
            with _refusals(name):
                client.indices.put_index_template(
                    name=name, index_patterns=[name], template={"mappings": mapping, "settings": own}
                )
                try:
                    client.indices.create(index=name)
                except BadRequestError as error:
                    if error.error != "resource_already_exists_exception":
                        raise
                    actual = client.indices.get_mapping(index=name)[name]["mappings"].get("properties", {})
                    if name in reports:
                        new = {field: kind for field, kind in mapping["properties"].items() if field not in actual}
                        if new:
                            client.indices.put_mapping(index=name, properties=new)
                        actual |= new
                    differences += _mapping_differences(name, mapping["properties"], actual)
    return differences


@contextmanager
def _refusals(index: str) -> Iterator[None]:
    try:
        yield
    except BadRequestError as error:
        raise RefusedError(f"Elasticsearch refuses the index {index}: {_reason(error)}") from error


def _reason(error: ApiError) -> str:
    """The innermost cause in Elasticsearch's answer: those around it say only that something failed."""
    cause: Any = error.body.get("error") if isinstance(error.body, dict) else None
    while isinstance(cause, dict) and isinstance(cause.get("caused_by"), dict):
        cause = cause["caused_by"]
    return str(cause["reason"]) if isinstance(cause, dict) and cause.get("reason") else str(error)


def _by_path(properties: Properties, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The fields of a mapping under their whole names: Elasticsearch makes objects of names with dots."""
    for name, kind in properties.items():
        yield f"{path}{name}", kind
        yield from _by_path(cast(Properties, kind.get("properties", {})), f"{path}{name}.")


def _mapping_differences(index: str, wanted: Properties, existing: Properties) -> list[str]:
    actual = dict(_by_path(existing))
    return [
        f"index {index}: field {field!r} is {actual.get(field, {}).get('type', 'missing')}, expected {kind['type']}: "
        f"rename the dataset or rebuild the index"
        for field, kind in wanted.items()
        if "type" in kind and actual.get(field, {}).get("type") != kind["type"]
    ]


def main() -> int:
    """``python -m runtime.provision``: provision once; answers the exit code, 1 where it could not be done."""
    config = settings()
    configure_logging(config)
    try:
        differences = provision(config)
    except (KafkaException, ApiError, TransportError, DatasetError, RefusedError) as error:
        log.error("the topics and indices could not be made: %s", error)
        return 1
    for difference in differences:
        log.warning("%s", difference)
    log.info("every topic and index of %s is there", config.prefix)
    return 0


if __name__ == "__main__":
    sys.exit(main())
