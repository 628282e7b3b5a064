"""What `migrate` does in which order, and which settings of topics it alters; on real servers see tests/integration."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from elasticsearch import ConnectionError as Unreachable

import runtime.provision
from runtime.migration.topics import _config_differences, _is_ours_to_alter, wanted_topics
from runtime.provision import migrate, provision
from runtime.settings import Settings
from schemas.topics import DAY_MS, topics


def test_processes_find_no_topic_before_the_indices_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """They begin once the topics are there, and Elasticsearch would guess the mapping of an index that is not."""
    done: list[str] = []
    monkeypatch.setattr(runtime.provision, "provision_topics", lambda _: done.append("topics") or ["a topic differs"])
    monkeypatch.setattr(
        runtime.provision, "provision_indices", lambda _: done.append("indices") or ["an index differs"]
    )
    assert provision(Settings()) == ["a topic differs", "an index differs"]
    assert done == ["indices", "topics"]

    def unreachable(_: Settings) -> list[str]:
        raise Unreachable("no")

    monkeypatch.setattr(runtime.provision, "provision_indices", unreachable)
    done.clear()
    assert (migrate(Settings()), done) == (1, [])


def test_no_topic_loses_records_by_its_size() -> None:
    """Whatever the brokers' `log.retention.bytes` is: a paused job needs its blocks for as long as they are kept."""
    for topic in topics("s", 8, replication=3):
        if "delete" in topic.config["cleanup.policy"]:
            assert topic.config["retention.bytes"] == "-1", topic.name


def test_a_topic_that_its_broker_bounds_is_told() -> None:
    class Admin:
        def describe_configs(self, resources: list[Any]) -> dict[Any, Any]:
            found = {topic.name: topic.config for topic in wanted_topics(Settings())}
            return {one: Future({**found[one.name], "retention.bytes": str(2**30)}) for one in resources}

    class Future:
        def __init__(self, config: dict[str, str]) -> None:
            self._config = config

        def result(self) -> Any:
            return {key: SimpleNamespace(value=value) for key, value in self._config.items()}

    wanted = [topic for topic in wanted_topics(Settings()) if topic.config["cleanup.policy"] == "delete"]
    admin: Any = Admin()
    told = _config_differences(admin, wanted, Settings())
    assert [line.split()[1] for line in told] == [topic.name for topic in wanted]
    assert all("has retention.bytes=1073741824, expected -1: alter it" in line for line in told)


KEPT = {"sluice.commands": {"command_retention_days": 7}, "sluice.job-events": {"history_retention_days": 7}}
"""Topic -> the setting that says how long it keeps its records."""


@pytest.mark.parametrize("upgrading", [True, False])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("by_hand", ["-1", "1", str(90 * DAY_MS)])
@pytest.mark.parametrize("topic", [topic.name for topic in topics("sluice", 1)])
def test_a_retention_that_somebody_has_altered_stays_until_the_setting_is_given(
    topic: str, by_hand: str, given: bool, upgrading: bool
) -> None:
    """Also one for ever, which versions up to 0.2 have made: these are known by the topic that they lack."""
    settings = Settings(**KEPT.get(topic, {})) if given else Settings()  # type: ignore[arg-type]
    ours = _is_ours_to_alter(settings, topic, "retention.ms", by_hand, upgrading)
    assert ours == (topic in KEPT and (given or (upgrading and by_hand == "-1")))
