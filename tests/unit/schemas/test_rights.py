"""The rights of each process in Kafka: those of the manifests are those that the code names."""

from __future__ import annotations

import re
from typing import get_args

import yaml

from schemas.policies.rights import READS, WRITES, Right, User, arguments, rights_of
from schemas.topics import TopicName
from tests.places import ROOT

USERS = ROOT / "k8s" / "components" / "kafka-strimzi" / "users.yaml"


def test_the_users_of_the_manifests_have_these_rights() -> None:
    found: dict[str, set[Right]] = {}
    for user in yaml.safe_load_all(USERS.read_text("utf-8")):
        rights = set()
        for acl in user["spec"]["authorization"]["acls"]:
            resource = acl["resource"]
            kind = re.sub("(?<=[a-z])(?=[A-Z])", "-", resource["type"]).lower()
            for operation in acl["operations"]:
                name = re.sub("(?<=[a-z])(?=[A-Z])", "-", operation).lower()
                if name != "describe":  # Kafka includes it in each of the others
                    rights.add(Right(kind, resource["name"], name, resource["patternType"] == "prefix"))  # type: ignore[arg-type]
        found[user["metadata"]["name"].removeprefix("sluice-")] = rights
    users: tuple[User, ...] = ("api", "ingest", "worker", "migrate")
    assert found == {user: set(rights_of(user, "sluice")) for user in users}


def test_every_topic_is_written_and_only_the_api_makes_keys() -> None:
    assert {name for names in WRITES.values() for name in names} == set(get_args(TopicName))
    assert {name for names in READS.values() for name in names} == set(get_args(TopicName))
    for name in ("principals", "security-events"):
        assert [user for user in get_args(User) if name in WRITES[user]] == ["api"]
    assert [user for user in get_args(User) if "security-events" in READS[user]] == ["api"]
    assert [user for user in get_args(User) if "jobs" in WRITES[user]] == ["worker"]


def test_services_can_ask_but_not_report() -> None:
    assert [user for user in get_args(User) if "commands" in WRITES[user]] == ["api", "worker", "service"]
    assert [user for user in get_args(User) if "reports" in WRITES[user]] == ["ingest", "worker"]
    assert READS["service"] == ()


def test_they_are_written_for_kafka_s_own_command() -> None:
    lines = list(arguments("sluice"))
    assert "--add --allow-principal User:sluice-service --operation Write --topic sluice.inbox" in lines
    assert any("--operation AlterConfigs --topic sluice. --resource-pattern-type prefixed" in line for line in lines)
    assert any("--transactional-id sluice- --resource-pattern-type prefixed" in line for line in lines)
