"""What a rollback has done with each row, for people to read: a document a block in the index ``undone``."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from schemas.indices import index_name


class Left(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row whose document is not as before the job."""

    row: int
    document: str
    """The document's id."""
    reason: str
    job: str | None = None
    """The job that has changed it, if one has."""


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows of a block."""

    job_id: str
    run: int
    block: int
    first_row: int
    last_row: int
    restored: list[tuple[int, int]] = []
    """Row numbers, as intervals (first, last)."""
    kept: list[Left] = []
    failed: list[Left] = []
    order: int = 0
    """As that of a before-image."""


def undone_index(prefix: str) -> str:
    """The index of these."""
    return index_name(prefix, "undone")


def undone_id(job_id: str, run: int, block: int) -> str:
    """A block's id: a repeat writes the same document again."""
    return f"{job_id}:{run}-{block}"


def numbers(found: Iterable[tuple[int, int]]) -> set[int]:
    """Row numbers of intervals."""
    return {row for first, last in found for row in range(first, last + 1)}


read_undone = msgspec.json.Decoder(Undone).decode
