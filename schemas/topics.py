"""The topics, as data: names, partitions, and how long each keeps its records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isinf
from typing import Final, Literal

DAY_MS = 24 * 3600 * 1000

TopicName = Literal[
    "commands",
    "reports",
    "jobs",
    "job-events",
    "plans",
    "rows",
    "inbox",
    "inbox-state",
    "lanes",
    "progress",
    "dead-letters",
    "principals",
    "security-events",
    "webhooks",
    "webhook-deliveries",
]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it should be."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


BROKERS_TIME = {"message.timestamp.type": "LogAppendTime"}
"""Records carry the time at which Kafka took them in. If they carried that of a sender with a wrong clock, Kafka could
remove them before they are read, and commands would seem to come at that time."""
FOREVER: Final = "-1"
"""Kafka's word for it, in `retention.ms`."""
_UNLIMITED = {"retention.bytes": "-1"}
"""Time alone removes records. Else the topic would follow the broker's `log.retention.bytes`, and lose blocks that no
worker has applied yet."""
MOST_RECORD_BYTES: Final = 4 * 1024 * 1024
"""Of a record of the topics with the large ones. Producers take as much."""
_LARGE = {"max.message.bytes": str(MOST_RECORD_BYTES)}
_COMPACTED = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.1",
    "segment.ms": str(6 * 3600 * 1000),
    **_LARGE,
}


ROWS_DAYS: Final = 14
"""Kafka keeps the rows and the plans of a job so long: longer than the longest pause."""
COMMANDS_DAYS: Final = 30.0
HISTORY_DAYS: Final = 400.0


def _kept(days: float) -> dict[str, str]:
    kept = FOREVER if isinf(days) else str(int(days * DAY_MS))
    return {"cleanup.policy": "delete", "retention.ms": kept, **_UNLIMITED, **BROKERS_TIME}


def topic_name(prefix: str, name: TopicName) -> str:
    """The full name of a topic, e.g. ``sluice.rows``."""
    return f"{prefix}.{name}"


GROWING: tuple[TopicName, ...] = ("plans", "rows", "lanes")
"""Topics that get more partitions together, on request."""
KEEPING: tuple[TopicName, ...] = ("inbox", "inbox-state")
"""Topics that keep the partitions they were made with: where the rows of a job meet follows from their number."""


def topics(
    prefix: str,
    partitions: int,
    replication: int = 1,
    commands_days: float = COMMANDS_DAYS,
    history_days: float = HISTORY_DAYS,
) -> tuple[Topic, ...]:
    """Every topic. `partitions` counts for those that carry rows and plans; `commands_days` and `history_days` say how
    long `commands` and `job-events` keep their records, infinity for ever.

    With three replicas or more, a record is confirmed once two have it: one broker may fail, and nothing is lost.

    A record may be 4 MiB, since a block's 256 KiB of
    values can grow when they are escaped.
    """
    table: tuple[tuple[TopicName, int, dict[str, str]], ...] = (
        ("commands", 1, _kept(commands_days)),
        ("reports", 1, _kept(ROWS_DAYS)),
        ("jobs", 1, _COMPACTED),
        ("job-events", 1, {**_kept(history_days), **_LARGE}),
        ("plans", partitions, _kept(ROWS_DAYS)),
        ("rows", partitions, {**_kept(ROWS_DAYS), **_LARGE}),
        ("inbox", partitions, _kept(ROWS_DAYS)),
        ("inbox-state", partitions, _COMPACTED),
        ("lanes", partitions, _COMPACTED),
        ("progress", 4, _kept(7)),
        ("dead-letters", 4, {**_kept(30), **_LARGE}),
        ("principals", 1, _COMPACTED),
        ("security-events", 1, _kept(400)),
        ("webhooks", 1, _COMPACTED),
        ("webhook-deliveries", 1, _COMPACTED),
    )
    safe = {"min.insync.replicas": "2"} if replication >= 3 else {}
    return tuple(Topic(topic_name(prefix, name), count, {**config, **safe}) for name, count, config in table)
