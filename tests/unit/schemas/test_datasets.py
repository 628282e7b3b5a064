"""Datasets, and the names of things: what is refused when it is loaded rather than at the first row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.operations.csv_cells import documents
from processor.validation.columns import compile_column
from runtime.datasets import load_datasets
from runtime.migration.topics import wanted_topics
from runtime.settings import Settings
from schemas.descriptors.datasets import DatasetError, parse_dataset
from schemas.descriptors.fields import FALSE_VALUES
from schemas.ids import JOB_ID, job_id_for_key, new_job_id
from schemas.indices import data_mapping
from schemas.jsonschema import MESSAGES
from schemas.topics import DAY_MS, topics
from tests.support.strategies.descriptors import DESCRIPTORS
from tests.support.waiting import PATIENCE

NAME = {"name": "name"}


def one_field(**constraints: Any) -> dict[str, Any]:
    kind = constraints.pop("type", "string")
    return {"fields": [{"name": "x", "type": kind, "constraints": constraints}]}


BAD: list[tuple[Any, str]] = [
    ([], "a list 'fields'"),
    ({"fields": []}, "a list 'fields'"),
    ({"fields": ["name"]}, "an object with a 'name'"),
    ({"fields": [NAME, NAME]}, "appears twice"),
    ({"fields": [NAME], "primaryKey": "id"}, "'id' is not one of its fields"),
    ({"fields": [NAME], "sluice": {"date_field": "day"}}, "'day' is not one of its fields"),
    ({"fields": [{"name": "sluice"}]}, "taken by Sluice itself"),
    ({"fields": [{"name": "sluice_row"}]}, "taken by Sluice itself"),
    ({"fields": [{"name": "x", "type": "geopoint"}]}, "type 'geopoint' is not known"),
    (one_field(jsonSchema={}), "constraint 'jsonSchema' is not known"),
    (one_field(pattern="(a"), "pattern"),
    (one_field(type="integer", minimum=1.5), "minimum"),
    (one_field(unique=True), "make it the primaryKey"),
    (one_field(required="yes"), "true or false"),
    (one_field(enum=[]), "one at least"),
    (one_field(type="integer", enum=["1"]), "enum '1' is not of the field's type"),
    (one_field(type="date", enum=["31/01/2026"]), "is no date"),
    (one_field(minLength=-1), "minLength"),
    ({"fields": [NAME], "foreignKeys": []}, "property 'foreignKeys' is not known"),
    ({"fields": [NAME], "uniqueKeys": [["name"]]}, "property 'uniqueKeys' is not known"),
    ({"fields": [NAME], "missingValues": ["-"]}, "the empty text"),
    ({"fields": [NAME], "missingValues": "-"}, "a list of texts"),
    ({"fields": [NAME], "sluice": {"date": "day"}}, "property sluice 'date' is not known"),
    ({"fields": [{"name": "x", "trueValues": ["yes"]}]}, "property 'trueValues' is not known for type string"),
    ({"fields": [{"name": "x", "format": "uri"}]}, "format 'uri' is not known for type string"),
    ({"fields": [{"name": "x", "type": "number", "format": "currency"}]}, "format 'currency'"),
    ({"fields": [{"name": "x", "type": "date", "format": "%d/%m"}]}, "the year, the month and the day"),
    ({"fields": [{"name": "x", "type": "date", "format": "%Y-%m-%d %!"}]}, "can't be read"),
    ({"fields": [{"name": "x", "type": "number", "groupChar": "."}]}, "decimalChar and groupChar are both"),
    ({"fields": [{"name": "x", "type": "number", "decimalChar": "5"}]}, "give one sign"),
    ({"fields": [{"name": "x", "type": "boolean", "trueValues": ["0"]}]}, "in trueValues and in falseValues"),
    ({"fields": [{"name": "x", "categories": ["a"]}]}, "property 'categories' is not known"),
    ({"fields": [{"name": "x", "sluice": {"pattern_reason": "is odd"}}]}, "for a field with a pattern"),
    ({"fields": [{"name": "x", "sluice": {"aliases": "y"}}]}, "sluice.aliases is a list of texts, not 'y'"),
    ({"fields": [{"name": "x", "sluice": {"aliases": ["_ -"]}}]}, "it needs a sign that can be seen"),
    ({"fields": [{"name": "x", "sluice": {"aliases": ["y" * 256]}}]}, "has at most 255 characters"),
    ({"fields": [{"name": "x", "sluice": {"aliases": ["Sluice row"]}}]}, "taken by Sluice itself"),
    ({"fields": [{"name": "x", "sluice": {"default": 5}}]}, "sluice.default is a text"),
    ({"fields": [{"name": "x", "sluice": {"index": "no"}}]}, "sluice.index is true or false, not 'no'"),
    (
        {"fields": [{"name": "x", "sluice": {"index": False}}], "primaryKey": "x"},
        "field 'x': sluice.index can't be false, since rows are known by their primaryKey",
    ),
    (
        {"fields": [{"name": "x", "type": "date", "sluice": {"index": False}}], "sluice": {"date_field": "x"}},
        "field 'x': sluice.index can't be false, since exports take rows by sluice.date_field",
    ),
    ({"fields": [{"name": "x", "sluice": {"default": {"time": "upload"}}}]}, "for type date or datetime, not string"),
    (
        {"fields": [{"name": "x", "constraints": {"required": True}, "sluice": {"default": ""}}]},
        "stands for no value, and one is required",
    ),
    (
        {"fields": [{"name": "a", "title": "Phone"}, {"name": "b", "sluice": {"aliases": ["PHONE"]}}]},
        "field 'b': a column 'PHONE' could be this field or 'a', which is also called 'Phone'",
    ),
    ({"fields": [{"name": "a", "title": "B "}, {"name": "b"}]}, "field 'b': a column 'b' could be this field or 'a'"),
    *(
        ({"fields": [NAME, {"name": bad}]}, f"field {bad!r}: {words}")
        for bad, words in {
            "": "a name needs a letter",
            "\u2003": "a name needs a letter",
            " x": "a name neither begins nor ends",
            "x\u00a0": "a name neither begins nor ends",
            "\ufeffx": "a name neither begins nor ends",
            "x\ty": "a name holds no control characters",
            "x\x00": "a name holds no control characters",
            "_id": "Elasticsearch has a field _id of its own",
            "_doc_count.x": "Elasticsearch has a field _doc_count of its own",
            "sluice.job_id": "this name is taken by Sluice itself",
            ".a": "Elasticsearch takes dots for a path, and no part",
            "a.": "Elasticsearch takes dots for a path, and no part",
            "a..b": "Elasticsearch takes dots for a path, and no part",
            ".": "Elasticsearch takes dots for a path, and no part",
            "name.first": "'name' is a field, so it can't be an object",
        }.items()
    ),
    ({"fields": [{"name": "a.b.c"}, {"name": "a.b"}]}, "field 'a.b.c': 'a.b' is a field"),
    ({"fields": [{"name": "a" + ".a" * 20}]}, "at most 20 parts, this one 21"),
    ({"fields": [{"name": "x" * 256}]}, "at most 255 characters"),
    ({"fields": [{"name": f"f{number}"} for number in range(997)]}, "field 'f996': 997 fields are too many"),
    ({"fields": [NAME], "primaryKey": {}}, "primaryKey is the name of a field"),
    ({"fields": [NAME], "primaryKey": [1]}, "primaryKey is the name of a field"),
    ({"fields": [NAME], "primaryKey": ["name", "name"]}, "names a field twice"),
    ({"fields": [NAME], "sluice": []}, "property sluice has to be an object"),
    ({"fields": [NAME], "sluice": {"exclusive_key": [[]]}}, "exclusive_key"),
    ({"fields": [NAME], "sluice": {"date_field": ""}}, "'' is not one of its fields"),
    ({"fields": [NAME], "title": 5}, "title is a text"),
    ({"fields": [{"name": "x", "description": []}]}, "field 'x': description is a text"),
    ({"fields": [{"name": "x", "example": float("nan")}]}, "field 'x': a value is not of JSON"),
    ({"fields": [{"name": "x", "title": "\ud800"}]}, "field 'x': a text holds half a character"),
    ({"fields": [{"name": "x", "type": []}]}, "type [] is not known"),
    ({"fields": [{"name": "x", "type": "number", "groupChar": 0}]}, "0 can't be a decimalChar or groupChar"),
    ({"fields": [{"name": "x", "type": "date", "format": "%d/%d/%m/%Y"}]}, "can't be read"),
    ({"fields": [{"name": "x", "type": "datetime", "format": "%Y-%m-%d %z%f"}]}, "set its parts apart"),
    ({"fields": [{"name": "x", "type": "boolean", "missingValues": ["", *FALSE_VALUES]}]}, "each of falseValues"),
    (one_field(pattern=0), "the pattern is a text"),
    (one_field(pattern="a{99999999999999}"), "no regular expression"),
    (one_field(enum=[[]]), "enum [] is not of the field's type"),
    (one_field(minLength=2, maxLength=1), "minLength 2 is more than maxLength 1"),
    (one_field(type="integer", minimum=2, maximum=1), "minimum 2 is more than maximum 1"),
    (one_field(type="integer", minimum=10**18), "more than 18 digits"),
    (one_field(type="number", maximum=10**400), "too large for a number"),
    (one_field(type="date", minimum="2026-02-01", maximum="2026-01-31"), "is more than maximum"),
    (one_field(type="date", minimum="20260131"), "is no date"),
    (one_field(type="datetime", minimum="2026-01-31T10:00:00+19:00"), "is no datetime"),
]
FILES: dict[str, tuple[bytes, str]] = {
    "not UTF-8": (b'{"title": "caf\xe9"}', "not of UTF-8 from byte 15 on"),
    "not JSON": (b'{"fields": [', "not of JSON"),
    "a key twice": (b'{"fields": [{"name": "x", "type": "date", "type": "any"}]}', "'type' stands twice"),
    "no number": (b'{"fields": [{"name": "x", "example": NaN}]}', "NaN is no number"),
    "deep": (b'{"fields": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too deep"),
    "long": (b'{"fields": [{"name": "x"}]}' + b" " * 1024 * 1024, "more than 1,048,576 bytes"),
    "a long number": (b'{"fields": [{"name": "x", "example": ' + b"9" * 5000 + b"}]}", "not of JSON"),
    "metadata": (b'{"fields": [{"name": "_id"}]}', "field '_id': Elasticsearch has a field _id of its own"),
}


@pytest.mark.parametrize(("descriptor", "words"), BAD)
def test_a_bad_descriptor_is_refused_by_name(descriptor: Any, words: str) -> None:
    with pytest.raises(DatasetError, match="dataset pets") as refusal:
        parse_dataset("pets", descriptor)
    assert words in str(refusal.value)


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_can_not_be_used_is_named(kind: str, tmp_path: Path) -> None:
    data, words = FILES[kind]
    (tmp_path / "pets.json").write_bytes(data)
    with pytest.raises(DatasetError, match="dataset pets") as refusal:
        load_datasets(tmp_path)
    assert words in str(refusal.value)


@pytest.mark.parametrize("depth", [10, 200, 400, 600, 800, 950, 990, 1500])
def test_a_descriptor_may_be_deep_or_is_refused_for_it(depth: int, tmp_path: Path) -> None:
    for place in ("example", "title", "type", "name"):
        value = b"[" * depth + b"]" * depth
        (tmp_path / "pets.json").write_bytes(b'{"fields": [{"name": "x", "' + place.encode() + b'": ' + value + b"}]}")
        with suppress(DatasetError):
            assert load_datasets(tmp_path)["pets"].columns == ("x",)


@pytest.mark.parametrize("kind", ["folder", "pipe", "name", "nowhere", "a file"])
def test_what_is_no_folder_of_files_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "pets.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        (tmp_path / ("Pets.json" if kind == "name" else "pets.json")).write_text("{}")
    with pytest.raises(DatasetError):
        load_datasets({"nowhere": tmp_path / "none", "a file": path}.get(kind, tmp_path))


PROCESSES = (["processor"], ["ingest"], ["api.server"], ["runtime.provision"], ["devstack.cli", "up"])


@pytest.mark.parametrize("command", [*PROCESSES, ["devstack.cli", "up", "--detach"]], ids=" ".join)
def test_every_process_ends_at_once_with_the_sentence(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "pets.json").write_text('{"fields": [{"name": "a"}, {"name": "a.b"}]}')
    own = {"SLUICE_HOME": str(tmp_path / "home"), "SLUICE_DATASETS_FOLDER": str(tmp_path)}
    nowhere = {"SLUICE_KAFKA_BOOTSTRAP": "127.0.0.1:1", "SLUICE_ELASTICSEARCH_URL": "http://127.0.0.1:1"}
    environment = {**os.environ, **own, **nowhere, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", *command]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode != 0 and "Traceback" not in ended.stderr
    assert "dataset pets, field 'a.b': 'a' is a field, so it can't be an object" in ended.stderr


def test_every_property_that_is_checked_is_read() -> None:
    dataset = parse_dataset(
        "sales",
        {
            "missingValues": ["", "n/a"],
            "primaryKey": ["day", "till"],
            "fields": [
                {"name": "day", "type": "date", "format": "%d/%m/%Y"},
                {"name": "till", "type": "integer"},
                {"name": "sum", "type": "number", "decimalChar": ",", "groupChar": ".", "bareNumber": False},
                {
                    "name": "paid",
                    "type": "boolean",
                    "trueValues": ["yes"],
                    "falseValues": ["no"],
                    "missingValues": [""],
                },
            ],
        },
    )
    day, till, total, paid = dataset.fields
    assert (day.format, day.required, till.required, total.required) == ("%d/%m/%Y", True, True, False)
    assert (total.decimal_char, total.group_char, total.bare_number) == (",", ".", False)
    assert (paid.true_values, paid.false_values) == (("yes",), ("no",))
    assert (total.missing, paid.missing) == (("", "n/a"), ("",))


@settings(max_examples=500)
@given(DESCRIPTORS)
def test_any_descriptor_is_refused_in_a_sentence_or_its_columns_can_be_checked_and_written(descriptor: Any) -> None:
    try:
        dataset = parse_dataset("odd", descriptor)
    except DatasetError as error:
        assert str(error).startswith("dataset odd") and len(str(error)) < 1000
        return
    documents(dataset)
    for field in dataset.fields:
        compile_column(field).fast(["x", ""])
        json.dumps(asdict(field), allow_nan=False).encode()


@pytest.mark.parametrize("name", load_datasets())
def test_the_checks_of_every_built_in_dataset_can_be_compiled(name: str) -> None:
    dataset = load_datasets()[name]
    assert [compile_column(field).name for field in dataset.fields] == list(dataset.columns)


MOMENTS = st.integers(0, 2**45 - 1)
BITS = st.integers(0, 2**35 - 1)


@given(MOMENTS, BITS, MOMENTS, BITS)
@settings(deadline=None)
def test_job_ids_sort_by_their_time(one: int, bits: int, other: int, other_bits: int) -> None:
    first, second = new_job_id(one, bits), new_job_id(other, other_bits)
    assert JOB_ID.match(first) and len(first) == 16
    if one != other:
        assert (first < second) == (one < other)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
@settings(deadline=None)
def test_an_idempotency_key_names_the_same_job_for_one_caller_only(a: str, key: str, b: str, other_key: str) -> None:
    assert JOB_ID.match(job_id_for_key(a, key))
    assert job_id_for_key(a, key) == job_id_for_key(a, key)
    if f"{a}\n{key}" != f"{b}\n{other_key}":
        assert job_id_for_key(a, key) != job_id_for_key(b, other_key)


def test_every_topic_has_its_messages_and_every_message_its_topic() -> None:
    assert {topic.name for topic in topics("sluice", 8)} == {f"sluice.{name}" for name in MESSAGES}


def test_rows_are_kept_as_long_as_lanes_may_point_to_them() -> None:
    by_name = {topic.name: topic for topic in topics("s", 8)}
    assert int(by_name["s.commands"].config["retention.ms"]) >= int(by_name["s.rows"].config["retention.ms"])
    assert by_name["s.commands"].partitions == 1, "commands have one order"
    for name in ("s.jobs", "s.lanes"):
        assert by_name[name].config["cleanup.policy"] == "compact"
    assert by_name["s.lanes"].partitions == by_name["s.rows"].partitions == 8
    assert "compact" not in by_name["s.rows"].config["cleanup.policy"]


def test_the_history_is_kept_for_as_long_as_settings_say_and_never_less_than_the_jobs() -> None:
    def kept(**given: object) -> list[str]:
        by_name = {topic.name: topic.config for topic in wanted_topics(Settings(prefix="s", **given))}  # type: ignore[arg-type]
        return [by_name[name]["retention.ms"] for name in ("s.commands", "s.job-events")]

    assert kept() == [str(30 * DAY_MS), str(400 * DAY_MS)]
    assert kept(command_retention_days=20, history_retention_days=90) == [str(20 * DAY_MS), str(90 * DAY_MS)]
    assert kept(history_retention_days=90, job_retention_days=500)[1] == str(500 * DAY_MS)
    assert kept(command_retention_days="forever", history_retention_days="forever") == ["-1", "-1"]


def test_a_field_that_is_not_searched_is_in_the_document_alone() -> None:
    fields = [{"name": "a", "sluice": {"index": False}}, {"name": "b", "type": "date", "sluice": {"index": True}}]
    properties = data_mapping(parse_dataset("two", {"fields": fields}))["properties"]
    assert (properties["a"]["index"], properties["a"]["doc_values"]) == (False, False)
    assert properties["b"] == {"type": "date", "format": "strict_date"}
