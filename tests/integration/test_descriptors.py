"""What a descriptor may be and what a column stores, as a real Elasticsearch takes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from processor.elastic.documents import document_lines
from processor.operations.csv_cells import documents
from processor.validation.columns import BadValueError, compile_column
from runtime.provision import RefusedError, migrate, provision, provision_indices
from runtime.settings import Settings
from schemas.descriptors.datasets import Dataset, DatasetError, parse_dataset
from schemas.exports import range_query, span_query
from schemas.indices import data_index, data_mapping, index_settings
from schemas.messages.blocks import Span
from schemas.names import DEEPEST, MAPPING_FIELDS, OWN_FIELDS
from tests.conftest import MakeSettings
from tests.support.processes.cluster import forget
from tests.support.strategies.descriptors import DESCRIPTORS
from tests.support.strategies.values import CELLS, COLUMNS
from tests.support.waiting import PATIENCE, elasticsearch


@pytest.fixture
def config(settings: MakeSettings) -> Iterator[Settings]:
    made = settings(topic_partitions=1)
    yield made
    forget(made)


@contextmanager
def index_of(client: Elasticsearch, dataset: Dataset) -> Iterator[str]:
    """A new index of a dataset."""
    name = f"t{uuid.uuid4().hex[:12]}-data"
    own = {**index_settings(0), "refresh_interval": "-1"}
    client.indices.create(index=name, mappings=data_mapping(dataset), settings=own, wait_for_active_shards=0)
    try:
        yield name
    finally:
        client.indices.delete(index=name)


def stored(client: Elasticsearch, index: str, dataset: Dataset, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The documents of rows, which are written as a worker writes them."""
    columns = [[row.get(name) for row in rows] for name in dataset.columns]
    numbers = range(len(rows))
    lines = document_lines("job", "org", dataset.columns, numbers, columns, [str(number) for number in numbers])
    answer = client.bulk(index=index, operations=[*lines])
    refused = [(row, item) for row, item in zip(rows, answer["items"], strict=True) if item["create"]["status"] != 201]
    assert not refused
    return [item["_source"] for item in client.mget(index=index, ids=[str(number) for number in numbers])["docs"]]


@effort(max_examples=60, suppress_health_check=list(HealthCheck))
@given(descriptor=DESCRIPTORS)
def test_a_descriptor_is_refused_in_a_sentence_or_its_index_takes_a_row(config: Settings, descriptor: Any) -> None:
    try:
        dataset = parse_dataset("odd", descriptor)
    except DatasetError as error:
        assert str(error).startswith("dataset odd") and len(str(error)) < 1000
        return
    row = dict.fromkeys(dataset.columns)
    with elasticsearch(config) as client, index_of(client, dataset) as index:
        (document,) = stored(client, index, dataset, [row])
    assert {name: document[name] for name in row} == row
    page = documents(dataset).read(json.dumps({"hits": {"hits": [{"_source": document, "sort": [1]}]}}).encode())
    assert b"".join(documents(dataset).lines(page, False))


NEAR_THE_LIMITS = [
    [f"f{number}" for number in range(MAPPING_FIELDS - OWN_FIELDS)],
    [f"o{number}.f" for number in range((MAPPING_FIELDS - OWN_FIELDS) // 2)],
    [".".join("abcdefghijklmnopqrstuvwxyz"[:DEEPEST])],
    [
        "x" * 255,
        "properties",
        "type",
        "properties_.type",
        "fields",
        "a._id",
        "_x",
        "*",
        "a,b",
        'a"b',
        "a\\b",
        "%s",
        "a. b",
    ],
    ["a.b", "a.c", "ab", "é", "名前", "first name", "👩‍👧"],
]
BEYOND = [
    [f"f{number}" for number in range(MAPPING_FIELDS - OWN_FIELDS + 1)],
    [f"o{number}.f" for number in range((MAPPING_FIELDS - OWN_FIELDS) // 2 + 1)],
    [".".join("abcdefghijklmnopqrstuvwxyz"[: DEEPEST + 1])],
]


@pytest.mark.parametrize("names", NEAR_THE_LIMITS, ids=lambda names: names[0][:9])
def test_names_up_to_the_limits_are_taken(config: Settings, names: list[str]) -> None:
    dataset = parse_dataset("wide", {"fields": [{"name": name} for name in names]})
    with elasticsearch(config) as client, index_of(client, dataset) as index:
        assert stored(client, index, dataset, [dict.fromkeys(names, "x")])


@pytest.mark.parametrize("names", BEYOND, ids=lambda names: names[0][:9])
def test_names_beyond_the_limits_are_refused_as_elasticsearch_would(config: Settings, names: list[str]) -> None:
    fields = [{"name": name} for name in names]
    with pytest.raises(DatasetError, match="dataset wide, field '"):
        parse_dataset("wide", {"fields": fields})
    few = parse_dataset("wide", {"fields": [{"name": "x"}]})
    mapping = {**data_mapping(few)["properties"], **{name: {"type": "keyword"} for name in names}}
    mapping.pop("x")
    with elasticsearch(config) as client, pytest.raises(ApiError):
        client.indices.create(
            index=f"{config.prefix}-wide", mappings={"properties": mapping}, settings=index_settings(0)
        )


@effort(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_a_dry_run_calls_good_is_stored_as_it_says(data: st.DataObject, config: Settings) -> None:
    checks = [compile_column(field) for field in COLUMNS.fields]
    rows = []
    for number, text in data.draw(st.lists(CELLS, min_size=40, max_size=60)):
        try:
            rows.append({COLUMNS.columns[number]: checks[number].explain(text)})
        except BadValueError:
            continue
    assume(rows)
    with elasticsearch(config) as client, index_of(client, COLUMNS) as index:
        for row, document in zip(rows, stored(client, index, COLUMNS, rows), strict=True):
            ((name, value),) = row.items()
            assert (document[name], str(document[name])) == (value, str(value))


def test_a_time_of_the_first_or_last_year_there_is_can_be_asked_for_and_exported(config: Settings) -> None:
    """The ends of what may be stored: with an offset, they are beyond the years 1 and 9999."""
    dataset = parse_dataset("ends", {"fields": [{"name": "at", "type": "datetime"}], "sluice": {"date_field": "at"}})
    times = ["0001-01-01T00:00:00+18:00", "2026-01-31T10:20:30Z", "9999-12-31T23:59:59.999-18:00"]
    with elasticsearch(config) as client, index_of(client, dataset) as index:
        stored(client, index, dataset, [{"at": at} for at in times])
        client.indices.refresh(index=index)
        ends = {"first": {"min": {"field": "at"}}, "last": {"max": {"field": "at"}}}
        found = client.search(index=index, aggregations=ends, size=0)["aggregations"]
        span = Span(since=int(found["first"]["value"]), till=int(found["last"]["value"]))
        whole = [range_query("at", "org", "0001-01-01", last) for last in ("9999-12-31", None)]
        for query in (span_query("at", "org", span), *whole):
            assert client.count(index=index, query=query)["count"] == len(times)


def test_an_index_with_paths_for_names_is_the_same_when_it_is_made_again(settings: MakeSettings, tmp_path: Any) -> None:
    (tmp_path / "shop.json").write_text(json.dumps({"fields": [{"name": "a.b"}, {"name": "a.c", "type": "date"}]}))
    config = settings(topic_partitions=1, datasets_folder=tmp_path)
    try:
        assert provision_indices(config) == provision_indices(config) == []
    finally:
        forget(config)


@pytest.mark.parametrize("command", [["runtime.provision"], ["devstack.cli", "up"], ["devstack.cli", "up", "--detach"]])
def test_a_start_ends_with_what_elasticsearch_refuses(config: Settings, command: list[str], tmp_path: Path) -> None:
    given = {
        "SLUICE_HOME": str(tmp_path / "home"),
        "SLUICE_PREFIX": config.prefix,
        "SLUICE_KAFKA_BOOTSTRAP": config.bootstrap,
        "SLUICE_ELASTICSEARCH_URL": config.elasticsearch,
        "SLUICE_API_PORT": str(config.api_port),
        "SLUICE_TOPIC_PARTITIONS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    people = data_index(config.prefix, "people")
    with elasticsearch(config) as client:
        client.indices.create(index=f"{config.prefix}-elsewhere", aliases={people: {}})
    run = [sys.executable, "-m", *command]
    ended = subprocess.run(run, env={**os.environ, **given}, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert f"Elasticsearch refuses the index {people}: " in ended.stderr.splitlines()[-1]
    assert "already exists as alias" in ended.stderr


def test_what_elasticsearch_refuses_ends_in_a_sentence_at_once(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(topic_partitions=1)
    broken = {"dynamic": "strict", "properties": {"a": {"type": "keyword"}, "a.b": {"type": "keyword"}}}
    monkeypatch.setattr("runtime.migration.indices.data_mapping", lambda dataset: broken)
    try:
        index = data_index(config.prefix, "people")
        with pytest.raises(RefusedError, match=rf"^Elasticsearch refuses the index {index}: .*\[a\]"):
            provision(config)
        assert migrate(config) == 1
    finally:
        forget(config)
