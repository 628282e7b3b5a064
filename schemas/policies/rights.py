"""What each process may do in Kafka, as data: the ACLs of its user. docs/security.md has a table made of it.

``python -m schemas.policies.rights PREFIX`` writes them as the arguments of Kafka's own ``kafka-acls.sh``, for
users that are called PREFIX-api and so on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from schemas.topics import TopicName, topic_name

User = Literal["api", "ingest", "worker", "migrate", "service"]
"""The processes, and a service that produces commands and rows."""
Resource = Literal["topic", "group", "transactional-id"]
Operation = Literal["describe", "read", "write", "delete", "create", "alter", "describe-configs", "alter-configs"]


@dataclass(frozen=True, slots=True)
class Right:
    """One right. Each of them includes the right to describe the resource, and `describe` is that alone."""

    resource: Resource
    name: str
    operation: Operation
    prefixed: bool = False
    """The right is for every name that begins so."""


READS: Final[Mapping[User, tuple[TopicName, ...]]] = {
    "api": (
        "commands",
        "jobs",
        "job-events",
        "lanes",
        "principals",
        "security-events",
        "webhooks",
        "webhook-deliveries",
    ),
    "ingest": ("commands", "jobs", "plans", "rows", "inbox", "inbox-state", "principals"),
    "worker": (
        "commands",
        "reports",
        "jobs",
        "job-events",
        "rows",
        "inbox",
        "lanes",
        "progress",
        "dead-letters",
        "principals",
    ),
    "migrate": (),
    "service": (),
}
WRITES: Final[Mapping[User, tuple[TopicName, ...]]] = {
    "api": ("commands", "principals", "security-events", "webhooks", "webhook-deliveries"),
    "ingest": ("reports", "rows", "inbox", "inbox-state", "dead-letters"),
    "worker": ("commands", "reports", "jobs", "job-events", "plans", "inbox", "lanes", "progress", "dead-letters"),
    "migrate": (),
    "service": ("commands", "inbox"),
}
DESCRIBES: Final[Mapping[User, tuple[TopicName, ...]]] = {"api": ("rows",)}
"""Topics of which the user sees the partitions alone."""
ERASES: Final[Mapping[User, tuple[TopicName, ...]]] = {"worker": ("inbox", "dead-letters")}
"""Topics that a purge and housekeeping remove records from: for that the user also writes a marker in a transaction,
and alters the topic's configuration for a moment (`processor/erasure/topics.py`)."""
MEMBERS: Final[frozenset[User]] = frozenset({"api", "ingest", "worker"})
"""Users that are in consumer groups, whose names begin with the prefix and a hyphen."""
_MIGRATES: Final[tuple[Operation, ...]] = ("create", "alter", "describe-configs", "alter-configs")
_ERASES: Final[tuple[Operation, ...]] = ("delete", "alter-configs")


def erasure_marker(prefix: str, topic: str) -> str:
    """The transactional id with which records are removed from a topic; without a topic, what such ids begin with."""
    return f"{prefix}-erasure-{topic}"


def rights_of(user: User, prefix: str) -> list[Right]:
    """What this user may do in Kafka, and nothing else."""
    rights = [Right("topic", topic_name(prefix, name), "read") for name in READS[user]]
    rights += [Right("topic", topic_name(prefix, name), "write") for name in WRITES[user]]
    rights += [Right("topic", topic_name(prefix, name), "describe") for name in DESCRIBES.get(user, ())]
    erased = ERASES.get(user, ())
    rights += [Right("topic", topic_name(prefix, name), operation) for name in erased for operation in _ERASES]
    if erased:
        rights.append(Right("transactional-id", erasure_marker(prefix, ""), "write", prefixed=True))
    if user in MEMBERS:
        rights.append(Right("group", f"{prefix}-", "read", prefixed=True))
    if user == "ingest":
        rights.append(Right("transactional-id", f"{prefix}-", "write", prefixed=True))
    if user == "migrate":
        rights += [Right("topic", f"{prefix}.", operation, prefixed=True) for operation in _MIGRATES]
    return rights


def arguments(prefix: str) -> Iterator[str]:
    """The arguments of ``kafka-acls.sh --bootstrap-server ... ``, a line for each right."""
    for user in get_args(User):
        for right in rights_of(user, prefix):
            operation = "".join(part.capitalize() for part in right.operation.split("-"))
            pattern = " --resource-pattern-type prefixed" if right.prefixed else ""
            who = f"--add --allow-principal User:{prefix}-{user}"
            yield f"{who} --operation {operation} --{right.resource} {right.name}{pattern}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in arguments(sys.argv[1] if len(sys.argv) > 1 else "sluice"))
