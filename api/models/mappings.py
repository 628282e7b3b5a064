"""Mappings of columns that organisations keep."""

from __future__ import annotations

import msgspec

from schemas import bounds


class MappingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which column of a file is which, as the options of a job say it."""

    dataset: bounds.Name
    columns: dict[str, str | None] = {}
    set: dict[str, str] = {}
    ignore_extra: bool = False


class MappingView(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping that an organisation keeps."""

    name: str
    organisation: str
    dataset: str
    columns: dict[str, str | None]
    set: dict[str, str]
    ignore_extra: bool
    updated_at: str
    updated_by: str


class MappingList(msgspec.Struct, frozen=True, kw_only=True):
    """Mappings of an organisation, by name."""

    mappings: list[MappingView]
