"""Saved objects in the format of Kibana's import: NDJSON, one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

Kind = Literal["index-pattern", "lens", "dashboard"]

CORE_VERSION = "8.8.0"
"""`coreMigrationVersion`: the newest change of what all saved objects have in common; it is that of 9.x as well."""
TYPE_VERSIONS: dict[Kind, str] = {"index-pattern": "8.0.0", "lens": "8.9.0", "dashboard": "10.2.0"}
"""`typeMigrationVersion`: the form of the attributes. Kibana brings older forms up to date and refuses newer ones, so
these are forms that 9.0 knows (decision 0020)."""


class Reference(msgspec.Struct, frozen=True):
    """A reference to another saved object; an object's attributes name it by `name` only."""

    id: str
    name: str
    type: Kind


class SavedObject(msgspec.Struct, frozen=True, rename="camel"):
    """A line of the file."""

    type: Kind
    id: str
    attributes: dict[str, Any]
    references: list[Reference]
    core_migration_version: str
    type_migration_version: str
    managed: bool = False

    @property
    def title(self) -> str:
        """Its title in Kibana's lists."""
        return str(self.attributes.get("name") or self.attributes["title"])


def saved_object(
    kind: Kind, own_id: str, attributes: dict[str, Any], references: Iterable[Reference] = ()
) -> SavedObject:
    """A saved object, in the versions above."""
    return SavedObject(kind, own_id, attributes, list(references), CORE_VERSION, TYPE_VERSIONS[kind])


def ndjson(objects: Iterable[SavedObject]) -> str:
    """The file's text, which is always the same for the same objects."""
    return "".join(compact(msgspec.to_builtins(item)) + "\n" for item in objects)


def compact(value: Any) -> str:
    """JSON in one line; some attributes hold JSON as a string."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
