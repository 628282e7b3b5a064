"""Schemas of custom resources, as tests/schemas has them, and as JSON Schema, to hold an object against.

`python -m tests.support.k8s.crd_schema CRD.yaml VERSION` prints the one of a version.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import jsonschema
import yaml

from tests.support.places import TESTS

FOLDER: Final = TESTS / "schemas"
Json = dict[str, Any]


def extract(text: str, version: str) -> Json:
    """Group, version, kind and schema of a custom resource definition, without descriptions and status."""
    spec = yaml.safe_load(text)["spec"]
    schema = next(each["schema"]["openAPIV3Schema"] for each in spec["versions"] if each["name"] == version)
    schema["properties"].pop("status", None)
    return {
        "group": spec["group"],
        "version": version,
        "kind": spec["names"]["kind"],
        "schema": _without_descriptions(schema),
    }


def _without_descriptions(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_descriptions(each) for each in part]
    if not isinstance(part, dict):
        return part
    # A property may be called so, too: then it is a schema.
    kept = {key: value for key, value in part.items() if key != "description" or isinstance(value, dict)}
    return {key: _without_descriptions(value) for key, value in kept.items()}


def custom_schemas() -> dict[tuple[str, str], Json]:
    """(apiVersion, kind) -> the JSON Schema of each custom resource in tests/schemas."""
    found = {}
    for file in sorted(FOLDER.glob("*/*.json")):
        content = json.loads(file.read_text("utf-8"))
        if "group" in content:
            found[f"{content['group']}/{content['version']}", content["kind"]] = _strict(content["schema"])
    return found


def problems(document: Json, schema: Json) -> list[str]:
    """What is wrong with an object, one line each; fields that the operator does not know are as well."""
    validator = jsonschema.Draft202012Validator(schema)
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(document)]


def _strict(part: Any) -> Any:
    """Kubernetes' form of a schema as JSON Schema: unknown fields are refused, as `kubectl` does."""
    if isinstance(part, list):
        return [_strict(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {key: _strict(value) for key, value in part.items() if not key.startswith("x-kubernetes-")}
    if part.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if isinstance(part.get("type"), str) and part.get("nullable"):
        made["type"] = [part["type"], "null"]
    open_ended = part.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in part
    if part.get("type") == "object" and isinstance(part.get("properties"), dict) and not open_ended:
        if part["properties"].keys() >= {"spec", "metadata"}:
            made["properties"]["metadata"] = {"type": "object"}
        made["additionalProperties"] = False
    return made


if __name__ == "__main__":
    print(json.dumps(extract(Path(sys.argv[1]).read_text("utf-8"), sys.argv[2]), separators=(",", ":"), sort_keys=True))
