"""The rights of each process in Kafka: those of the manifests are those that the code names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import get_args

import pytest
import yaml

from schemas.policies.rights import ERASES, READS, WRITES, Right, User, arguments, erasure_marker, rights_of
from schemas.topics import TopicName
from tests.support.places import ROOT

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
                if name != "describe" or len(acl["operations"]) == 1:  # Kafka includes it in each of the others
                    rights.add(Right(kind, resource["name"], name, resource["patternType"] == "prefix"))  # type: ignore[arg-type]
        found[user["metadata"]["name"].removeprefix("sluice-")] = rights
    users: tuple[User, ...] = ("api", "ingest", "worker", "migrate")
    assert found == {user: set(rights_of(user, "sluice")) for user in users}


PACKAGES: tuple[tuple[str, User], ...] = (("api", "api"), ("ingest", "ingest"), ("processor", "worker"))
NEEDED = {
    "delete_records": ("topic", "delete"),
    "incremental_alter_configs": ("topic", "alter-configs"),
    "create_topics": ("topic", "create"),
    "create_partitions": ("topic", "alter"),
    "describe_configs": ("topic", "describe-configs"),
    "init_transactions": ("transactional-id", "write"),
}
"""Method of a client of Kafka -> the right that Kafka asks for, besides reading and writing."""


def calls(package: str) -> Iterator[tuple[str, ast.Call]]:
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                yield node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id, node


@pytest.mark.parametrize(("package", "user"), PACKAGES)
def test_a_user_may_do_what_the_code_of_its_process_asks_of_kafka(package: str, user: User) -> None:
    rights = rights_of(user, "sluice")
    asked = {NEEDED[name] for name, _ in calls(package) if name in NEEDED}
    given = {(right.resource, right.operation) for right in rights} & set(NEEDED.values())
    assert asked == given
    named = {
        node.args[1].value
        for name, node in calls(package)
        if name == "topic_name" and isinstance(node.args[1], ast.Constant)
    }
    assert named <= {right.name.removeprefix("sluice.") for right in rights if right.resource == "topic"}


def test_the_worker_may_remove_records_of_each_topic_that_a_purge_clears() -> None:
    cleared = {
        str(node.args[1].value)
        for name, node in calls("processor/erasure")
        if name == "topic_name" and isinstance(node.args[1], ast.Constant)
    }
    rights = {(right.resource, right.name, right.operation) for right in rights_of("worker", "sluice")}
    for topic in cleared:
        for operation in ("read", "write", "delete", "alter-configs"):
            assert ("topic", f"sluice.{topic}", operation) in rights, f"{operation} {topic}"
    assert cleared == set(ERASES["worker"])
    (transactions,) = [right for right in rights_of("worker", "sluice") if right.resource == "transactional-id"]
    assert transactions.prefixed
    assert all(erasure_marker("sluice", f"sluice.{topic}").startswith(transactions.name) for topic in cleared)


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
