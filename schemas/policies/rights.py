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
Operation = Literal["read", "write", "create", "alter", "describe-configs", "alter-configs"]


@dataclass(frozen=True, slots=True)
class Right:
    """One right. Each of them includes the right to describe the resource."""

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
    "worker": ("commands", "reports", "jobs", "job-events", "rows", "lanes", "progress", "dead-letters", "principals"),
    "migrate": (),
    "service": (),
}
WRITES: Final[Mapping[User, tuple[TopicName, ...]]] = {
    "api": ("commands", "principals", "security-events", "webhooks", "webhook-deliveries"),
    "ingest": ("reports", "rows", "inbox", "inbox-state", "dead-letters"),
    "worker": ("commands", "reports", "jobs", "job-events", "plans", "lanes", "progress", "dead-letters"),
    "migrate": (),
    "service": ("commands", "inbox"),
}
MEMBERS: Final[frozenset[User]] = frozenset({"api", "ingest", "worker"})
"""Users that are in consumer groups, whose names begin with the prefix and a hyphen."""
_MIGRATES: Final[tuple[Operation, ...]] = ("create", "alter", "describe-configs", "alter-configs")


def rights_of(user: User, prefix: str) -> list[Right]:
    """What this user may do in Kafka, and nothing else."""
    rights = [Right("topic", topic_name(prefix, name), "read") for name in READS[user]]
    rights += [Right("topic", topic_name(prefix, name), "write") for name in WRITES[user]]
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
