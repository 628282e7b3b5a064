"""What a dry run would change, for people to read: a document for each such row in the index ``changes``."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.indices import index_name


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one row would do."""

    job_id: str
    row: int
    kind: str
    """new, updated or deleted."""
    key: list[str]
    """Values of the key's fields."""
    columns: list[str]
    """The fields of an updated document whose value would change."""
    before: dict[str, Any]
    """Field -> value, of the fields that would change; of a new document none."""
    after: dict[str, Any]
    order: int = 0
    """Which change of a document came first: as `Image.order`."""


KINDS = {"create": "new", "update": "updated", "delete": "deleted"}


def changes_index(prefix: str) -> str:
    """The index of these."""
    return index_name(prefix, "changes")


def change_of(
    job_id: str, order: int, row: int, kind: str, key: list[str], fields: dict[str, tuple[Any, Any]]
) -> Change:
    """The change of a row; `fields` as `changed_fields` finds them, `kind` as a decision has it."""
    return Change(
        job_id=job_id,
        order=order,
        row=row,
        kind=KINDS[kind],
        key=key,
        columns=list(fields) if kind == "update" else [],
        before={name: before for name, (before, _) in fields.items()} if kind != "create" else {},
        after={name: after for name, (_, after) in fields.items()} if kind != "delete" else {},
    )
