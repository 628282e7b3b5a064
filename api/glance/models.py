"""What the routes of this folder answer with, as structs."""

from __future__ import annotations

import msgspec


class FirstRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a group."""

    row: int
    line: int
    """The file's line, from 1; 0: there is no file."""
    value: str | None


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Row errors with the same column and reason."""

    column: str | None
    reason: str
    rows: int
    share: float
    """Of the rows that the job has dealt with, from 0 to 1."""
    like: int
    """The first of its rows: ``errors?like=`` lists all that have the column and the reason of this one."""
    first: list[FirstRow]


class ErrorGroups(msgspec.Struct, frozen=True, kw_only=True):
    """A job's row errors by column and reason, the largest group first."""

    job_id: str
    total: int
    """Row errors."""
    rows_done: int
    """Rows that the job has dealt with: applied or refused."""
    groups: list[ErrorGroup]
    others: int
    """Row errors in groups that are left out, as there are too many."""
