"""`/openapi.json` is OpenAPI 3.1 that a client generator can work with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from api.jobs.actions import COMMANDS
from api.routes.rest import description

Json = dict[str, Any]
TEXT = {"type": "string", "minLength": 1}
SCHEMA = {"type": "object", "minProperties": 1}


def exactly(needed: Json, /, **optional: Json) -> Json:
    """The JSON Schema of an object with these properties and no others."""
    return {
        "type": "object",
        "required": list(needed),
        "properties": {**needed, **optional},
        "additionalProperties": False,
    }


def each(schema: Json, names: str = ".", least: int = 1) -> Json:
    """The JSON Schema of an object whose properties are all alike."""
    return {
        "type": "object",
        "minProperties": least,
        "propertyNames": {"pattern": names},
        "additionalProperties": schema,
    }


CONTENT = each(exactly({"schema": SCHEMA}, encoding=each(exactly({"contentType": TEXT}))), r"^[a-z]+/[a-z+-]+$")
PARAMETER = exactly(
    {"name": TEXT, "in": {"enum": ["path", "query", "header"]}, "schema": SCHEMA},
    description=TEXT,
    required={"const": True},
)
RESPONSE = exactly(
    {"description": TEXT}, content=CONTENT, headers=each(exactly({"description": TEXT, "schema": SCHEMA}))
)
OPERATION = exactly(
    {
        "operationId": {"type": "string", "pattern": "^[a-z][A-Za-z]+$"},
        "summary": TEXT,
        "tags": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 1},
        "responses": each(RESPONSE, "^([1-5][0-9][0-9]|default)$", least=2),
    },
    description=TEXT,
    security={"const": []},
    parameters={"type": "array", "items": PARAMETER, "minItems": 1},
    requestBody=exactly({"required": {"type": "boolean"}, "content": CONTENT}),
)
DOCUMENT = exactly(
    {
        "openapi": {"const": "3.1.0"},
        "info": exactly({"title": TEXT, "version": TEXT, "description": TEXT}),
        "tags": {"type": "array", "items": exactly({"name": TEXT}), "uniqueItems": True},
        "paths": each(each(OPERATION, "^(get|post|put|patch|delete)$"), "^/"),
        "components": exactly({"schemas": each(SCHEMA, r"^[A-Za-z0-9._-]+$"), "securitySchemes": each(SCHEMA)}),
        "security": {"type": "array", "items": each({"const": []})},
    }
)
"""What we use of OpenAPI 3.1, as its specification has it."""


def operations() -> Iterator[tuple[str, Json]]:
    for path, methods in description()["paths"].items():
        for operation in methods.values():
            yield path, operation


def within(value: Any, name: str) -> Iterator[Any]:
    """Every value that a property of this name has, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == name:
                yield inner
            yield from within(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from within(inner, name)


def test_it_has_the_form_of_openapi() -> None:
    problems = [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(DOCUMENT).iter_errors(description())
    ]
    assert problems == []


def test_every_schema_is_one_and_every_reference_leads_somewhere() -> None:
    document = description()
    schemas = document["components"]["schemas"]
    for schema in [*within(document["paths"], "schema"), *schemas.values()]:
        Draft202012Validator.check_schema(schema)
    references = set(within(document, "$ref"))
    assert references == {f"#/components/schemas/{name}" for name in schemas}, "and none is there for nothing"


def test_operations_have_names_of_their_own_and_a_group_that_is_there() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert len(names) == len(set(names))
    groups = {group["name"] for group in description()["tags"]}
    assert {group for _, operation in operations() for group in operation["tags"]} == groups


def test_parameters_are_those_of_the_path_and_come_once() -> None:
    for path, operation in operations():
        given = [(parameter["in"], parameter["name"]) for parameter in operation.get("parameters", [])]
        assert len(given) == len(set(given))
        assert {name for place, name in given if place == "path"} == set(re.findall(r"{(\w+)}", path)), path
        required = {parameter["name"] for parameter in operation.get("parameters", []) if parameter.get("required")}
        assert required == {name for place, name in given if place == "path"}


@pytest.mark.parametrize("action", COMMANDS)
def test_each_command_has_a_path(action: str) -> None:
    assert f"/v1/jobs/{{job_id}}/{action}" in description()["paths"]


def test_what_needs_no_key_says_so() -> None:
    keyless = {path for path, operation in operations() if operation.get("security") == []}
    assert keyless == {"/healthz", "/readyz", "/metrics", "/openapi.json"}
    assert all(("401" in operation["responses"]) == (path not in keyless) for path, operation in operations())


def test_generators_see_which_fields_are_always_there() -> None:
    schemas = description()["components"]["schemas"]
    fields = [field for schema in schemas.values() for field in schema.get("properties", {}).values()]
    assert not any("default" in field for field in fields), "to generators it is a value that is there"
    assert set(schemas["JobView"]["required"]) == set(schemas["JobView"]["properties"])
    assert not schemas["JobRequest"].get("required") and not schemas["Options"].get("required")
    assert schemas["ActionRequest"]["properties"]["keep_rows"]["description"].endswith("Left out: false.")
