"""`migrate` on real servers: it makes what is missing, adds what is new, tells what differs, and takes nothing away."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from runtime.clients import librdkafka_config
from runtime.provision import migrate, provision
from runtime.settings import Settings
from schemas.indices import data_index
from schemas.topics import topic_name, topics
from tests.conftest import MakeSettings
from tests.support.processes.cluster import forget
from tests.support.waiting import PATIENCE, elasticsearch


@pytest.fixture
def config(settings: MakeSettings, tmp_path: Path) -> Iterator[Settings]:
    folder = tmp_path / "datasets"
    folder.mkdir()
    describe(folder, "name")
    made = settings(topic_partitions=2, datasets_folder=folder)
    yield made
    forget(made)


def describe(folder: Path, *names: str) -> None:
    """A dataset `pets` with these fields."""
    (folder / "pets.json").write_text(json.dumps({"fields": [{"name": name} for name in names]}))


def changes(config: Settings, log: pytest.LogCaptureFixture, **more: Any) -> list[str]:
    """What a run of `migrate` says that it has made or altered."""
    log.clear()
    with log.at_level(logging.INFO):
        assert migrate(config, **more) == 0
    return [entry.getMessage() for entry in log.records if getattr(entry, "event", "") == "migrate.changed"]


def counts(config: Settings) -> dict[str, int]:
    found = AdminClient(librdkafka_config(config)).list_topics(timeout=PATIENCE).topics
    return {topic.name: len(found[topic.name].partitions) for topic in topics(config.prefix, 2)}


def test_a_second_run_changes_nothing_and_tells_every_difference(
    config: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    made = changes(config, caplog)
    assert sum("topic" in told for told in made) == len(topics(config.prefix, 2))
    assert f"index {data_index(config.prefix, 'people')} is made" in made
    assert changes(config, caplog) == [] and provision(config) == []
    assert "as the settings say" in caplog.records[-1].getMessage()

    other = {"topic_partitions": 4, "topic_replication": 3, "elasticsearch_shards": 2, "elasticsearch_replicas": 1}
    differences = provision(config.model_copy(update=other))
    told = "\n".join(differences)
    rows, people = topic_name(config.prefix, "rows"), data_index(config.prefix, "people")
    assert f"topic {rows} has 2 partitions, expected 4: `sluice migrate --partitions 4` adds them" in told
    assert f"topic {rows} has replication 1, expected 3" in told
    assert f"topic {rows} has min.insync.replicas=1, expected 2" in told
    assert f"index {people} has 1 shards, expected 2" in told
    assert f"index {people} has 0 replicas, expected 1" in told
    assert topic_name(config.prefix, "inbox") + " has 2 partitions" not in told
    caplog.clear()
    assert migrate(config.model_copy(update=other)) == 0
    assert "as the settings say" not in caplog.text and "differences are left" in caplog.records[-1].getMessage()


def test_a_field_that_a_dataset_has_gained_is_put_into_its_index(
    config: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    changes(config, caplog)
    assert config.datasets_folder is not None
    describe(config.datasets_folder, "name", "colour", "size.height")
    from runtime.datasets import load_datasets

    load_datasets.cache_clear()
    index = data_index(config.prefix, "pets")
    assert f"index {index} has new fields now: colour, size.height" in changes(config, caplog)
    with elasticsearch(config) as client:
        document = {"colour": "red", "size": {"height": "7"}}
        assert client.index(index=index, id="1", document=document)["result"] == "created"
    describe(config.datasets_folder, "name")
    load_datasets.cache_clear()
    changes(config, caplog)
    with elasticsearch(config) as client:
        assert "colour" in client.indices.get_mapping(index=index)[index]["mappings"]["properties"]
    assert changes(config, caplog) == []


def test_how_far_keys_reach_stays_while_an_index_has_rows(config: Settings, caplog: pytest.LogCaptureFixture) -> None:
    from runtime.datasets import load_datasets

    folder, index = config.datasets_folder, data_index(config.prefix, "pets")
    assert folder is not None

    def keyed(scope: str) -> None:
        descriptor = {"fields": [{"name": "name"}], "primaryKey": "name", "sluice": {"key_scope": scope}}
        (folder / "pets.json").write_text(json.dumps(descriptor))
        load_datasets.cache_clear()

    def put(client: Any, key: str) -> None:
        mark = {"job_id": "j", "row_number": 1, "organisation": "acme"}
        client.index(index=index, id=key, document={"name": "Rex", "sluice": mark}, refresh=True)

    keyed("job")
    changes(config, caplog)
    keyed("organisation")
    assert f"index {index} notes how far its keys reach" in changes(config, caplog), "there are no rows yet"
    with elasticsearch(config) as client:
        put(client, "acme:0")
        keyed("job")
        caplog.clear()
        assert migrate(config) == 1
        assert (
            "have keys that reach the organisation" in caplog.text
            and "can't be changed while there are rows" in caplog.text
        )
        # An index that an older version has made says nothing of it: its rows do.
        client.indices.put_mapping(index=index, meta={})
        assert migrate(config) == 1
        put(client, "j:0")
        changes(config, caplog)
        client.delete(index=index, id="j:0", refresh=True)
        client.indices.put_mapping(index=index, meta={})
        keyed("organisation")
        changes(config, caplog)
    assert changes(config, caplog) == []


def test_partitions_are_added_on_request_and_never_taken(config: Settings, caplog: pytest.LogCaptureFixture) -> None:
    changes(config, caplog)
    grown = [topic_name(config.prefix, name) for name in ("plans", "rows", "lanes")]  # type: ignore[arg-type]
    before = counts(config)
    assert len(changes(config, caplog, partitions=3)) == 3
    assert counts(config) == {**before, **dict.fromkeys(grown, 3)}
    assert changes(config, caplog, partitions=3) == []
    assert migrate(config, partitions=2) == 1 and "a topic can't lose any" in caplog.text
    assert migrate(config, partitions=0) == 1 and migrate(config, partitions=257) == 1
    assert counts(config) == {**before, **dict.fromkeys(grown, 3)}
    assert any("has 3 partitions, expected 2: set SLUICE_TOPIC_PARTITIONS" in told for told in provision(config))


def test_a_further_index_has_the_mapping_and_the_aliases_follow(
    config: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    changes(config, caplog)
    first = data_index(config.prefix, "pets")
    assert migrate(config, rolled="teams") == 1 and "primaryKey" in caplog.text
    assert migrate(config, rolled="no-such") == 1
    assert f"index {first}.000002 is made" in changes(config, caplog, rolled="pets")
    assert provision(config) == []
    with elasticsearch(config) as client:
        mapping = client.indices.get_mapping(index=f"{first}.000002")[f"{first}.000002"]["mappings"]
        assert mapping["dynamic"] == "strict" and "name" in mapping["properties"]
        assert set(client.indices.get_alias(name=f"{first}.read").body) == {first, f"{first}.000002"}
        assert set(client.indices.get_alias(name=f"{first}.write").body) == {first}  # its time has not come
