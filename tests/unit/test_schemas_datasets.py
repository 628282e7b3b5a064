"""Datasets, and the names of things: what is refused when it is loaded rather than at the first row."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.columns import compile_column
from runtime.datasets import load_datasets
from schemas.datasets import DatasetError, header_problem, parse_dataset
from schemas.ids import JOB_ID, job_id_for_key, new_job_id
from schemas.jsonschema import MESSAGES
from schemas.topics import topics

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
]


@pytest.mark.parametrize(("descriptor", "words"), BAD)
def test_a_bad_descriptor_is_refused_by_name(descriptor: Any, words: str) -> None:
    with pytest.raises(DatasetError, match="dataset pets") as refusal:
        parse_dataset("pets", descriptor)
    assert words in str(refusal.value)


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


@pytest.mark.parametrize("name", load_datasets())
def test_the_checks_of_every_built_in_dataset_can_be_compiled(name: str) -> None:
    dataset = load_datasets()[name]
    assert [compile_column(field).name for field in dataset.fields] == list(dataset.columns)


def test_a_header_may_have_its_columns_in_any_order() -> None:
    people = load_datasets()["people"]
    assert header_problem(people, people.columns) is None
    assert header_problem(people, list(reversed(people.columns))) is None


def test_a_header_may_have_the_columns_that_errors_csv_adds() -> None:
    people = load_datasets()["people"]
    assert header_problem(people, ["sluice_row", *people.columns, "sluice_reason"]) is None
    assert "twice" in str(header_problem(people, ["sluice_row", *people.columns, "sluice_row"]))
    assert "unknown: sluice_day" in str(header_problem(people, ["sluice_day", *people.columns]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda header: header[1:], "missing: name"),
        (lambda header: [*header, "shoe size"], "unknown: shoe size"),
        (lambda header: ["Name", *header[1:]], "missing: name; unknown: Name"),
        (lambda header: [*header, "email"], "'email' appears twice"),
        (lambda header: [";".join(header)], "expected the columns name, email"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_with_what_is_wrong(change: Any, words: str) -> None:
    people = load_datasets()["people"]
    assert words in str(header_problem(people, change(list(people.columns))))


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
    assert by_name["s.commands"].config["retention.ms"] == "-1"
    assert by_name["s.job-events"].config["retention.ms"] == "-1"
    assert by_name["s.commands"].partitions == 1, "commands have one order"
    for name in ("s.jobs", "s.lanes"):
        assert by_name[name].config["cleanup.policy"] == "compact"
    assert by_name["s.lanes"].partitions == by_name["s.rows"].partitions == 8
    assert "compact" not in by_name["s.rows"].config["cleanup.policy"]
