"""What is told of a job's rows: row errors, previews, changes, what a rollback has done."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from schemas.job import State


class RowErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was not applied, and why."""

    row: int
    line: int
    column: str | None
    value: str | None
    reason: str
    columns: list[str]
    values: list[str]
    at: str | None


class RowErrorPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a job's row errors, by row number."""

    job_id: str
    total: int
    errors: list[RowErrorView]
    next: int | None
    """Pass it as `after` to get the page that follows; null: this is the last one."""


class PreviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row as it would be stored."""

    row: int
    document: dict[str, Any]


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """What one row would do to the document that its key names."""

    row: int
    kind: Literal["new", "updated", "deleted"]
    key: list[str]
    """Values of the key's fields."""
    before: dict[str, Any]
    """Field -> value, of the fields that would change; of a new document none."""
    after: dict[str, Any]
    """The same after it; of a deleted document none."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a dry run would change, in a dataset whose key reaches the organisation."""

    new: int
    updated: int
    unchanged: int
    deleted: int
    conflicting: int
    """Rows that are refused since their key exists, in the organisation or in another row."""
    missing: int
    """Rows that are refused since their key names no document."""
    columns: dict[str, int]
    """Field -> how many documents would have another value in it."""
    first: list[ChangeView]
    """The first changes, by row; all of them are at ``/changes`` and ``/changes.csv``."""


class ChangePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of what a dry run would change, by row number."""

    job_id: str
    total: int
    changes: list[ChangeView]
    next: int | None
    """Pass it as `after` to get the page that follows; null: this is the last one."""


class UndoneRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollback has done with a row."""

    row: int
    outcome: Literal["restored", "kept", "failed"]
    """restored: its document is as before the job. kept: others have changed it since. failed: it could not be done."""
    document: str | None
    """The document's id, where it is not restored."""
    reason: str | None
    job_id: str | None
    """The job that has changed the document since, if one has."""


class UndonePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of what a rollback has done, by row number."""

    job_id: str
    restored: int
    kept: int
    failed: int
    rows: list[UndoneRow]
    next: int | None
    """Pass it as `after` to get the page that follows; null: this is the last one."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a dry run has found: counts, the first row errors, and the first good rows as they would be stored."""

    job_id: str
    state: State
    rows_total: int | None
    rows_valid: int
    rows_failed: int
    errors: list[RowErrorView]
    rows: list[PreviewRow]
    changes: Changes | None = None
    """What would become of documents that exist; null: the dataset's key does not reach further than the job."""
