"""How many workers and readers there are: the members of their consumer groups, as Kafka knows them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from runtime.clients import librdkafka_config
from runtime.settings import Settings
from schemas.topics import topic_name

_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Members:
    """Members of the groups, and partitions."""

    workers: int
    readers: int
    partitions: int
    """Partitions of the topic ``rows``."""
    unowned: int
    """Partitions of it that no worker has: they are between two workers, or there is none."""


class GroupMembers:
    """Asks Kafka; its calls block."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: AdminClient | None = None
        self._lock = threading.Lock()

    def count(self) -> Members:
        """The members now.

        Raises:
            KafkaException: Kafka does not answer.
        """
        prefix, rows = self._settings.prefix, topic_name(self._settings.prefix, "rows")
        with self._lock:
            if self._admin is None:
                self._admin = AdminClient({**librdkafka_config(self._settings), "log_level": 2})
            topic = self._admin.list_topics(rows, timeout=_SECONDS).topics[rows]
            if topic.error is not None:
                raise KafkaException(topic.error)
            names = [f"{prefix}-workers", f"{prefix}-ingest"]
            asked = self._admin.describe_consumer_groups(names, request_timeout=_SECONDS)
            workers, readers = (asked[name].result().members for name in names)
        owned = {
            place.partition
            for member in workers
            if member.assignment is not None
            for place in member.assignment.topic_partitions
            if place.topic == rows
        }
        partitions = set(topic.partitions)
        return Members(len(workers), len(readers), len(partitions), len(partitions - owned))
