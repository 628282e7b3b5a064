"""Datasets, limits and totals, and whether the API can do its work."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from schemas.descriptors.modes import KeyScope, Mode


class FieldView(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a dataset."""

    name: str
    type: str
    format: str
    required: bool
    unique: bool
    pattern: str | None
    enum: list[Any]
    title: str
    description: str
    aliases: list[str]
    """What else a file may call the column; case, spaces, ``_`` and ``-`` do not count."""
    default: Any
    """The text of every row of a file without the column, or ``{"time": "upload"}``; null: a file must have it."""


class DatasetView(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset: what its files must look like."""

    name: str
    title: str
    primary_key: list[str]
    key_scope: KeyScope
    """How far the key reaches: in ``organisation`` there is one document a key, which later jobs may change."""
    mode: Mode
    """The mode of jobs that name none."""
    modes: list[Mode]
    """The modes that a job may name."""
    date_field: str | None
    fields: list[FieldView]


class DatasetList(msgspec.Struct, frozen=True, kw_only=True):
    """Every dataset."""

    datasets: list[DatasetView]


class LimitView(msgspec.Struct, frozen=True, kw_only=True):
    """One limit."""

    name: str
    most: float
    """The limit itself; of bytes a second the least."""
    unit: str
    used: int | None
    """What counts against the limit now; null: the limit is for each single request, file or job."""
    setting: str
    """The environment variable that sets it."""
    status: int
    """HTTP's, of a refusal."""
    meaning: str
    advice: str
    """What to do about an exceeded limit."""


class LimitList(msgspec.Struct, frozen=True, kw_only=True):
    """What an organisation may use."""

    organisation: str
    weight: float
    """Its share of the workers: an organisation of weight 3 gets three times the rows of one of weight 1."""
    limits: list[LimitView]


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Totals over the jobs that the caller may see."""

    jobs: int
    states: dict[str, int]
    rows_applied: int
    rows_failed: int
    rows_rolled_back: int
    rows_per_second: float


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the API can do its work. Elasticsearch is shown only: control works without it."""

    ready: bool
    caught_up: bool
    kafka: str
    elasticsearch: str
