"""What a look at a file's first rows has found that may be an accident."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from schemas.bounds import RowCount

SuspicionKind = Literal["exchanged", "shifted", "unusual"]
MOST_NAMED: int = 200
"""Columns that a suspicion names, or maps, at most."""
Distance = Annotated[int, msgspec.Meta(ge=-10_000, le=10_000)]
"""Places, rows or years."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Suspicion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An accident that the first rows look like. It holds no value of a row."""

    kind: SuspicionKind
    """``exchanged``: two columns have each other's values; ``shifted``: columns are moved by some places, or the values
    of one by some rows; ``unusual``: a column is unlike the organisation's own rows."""
    columns: tuple[str, ...]
    """The fields in question."""
    by: Distance = 0
    """Places, rows or years by which they are moved; 0: they are not moved."""
    fit: Share
    """The share of the rows looked at that fit otherwise, 0 to 1."""
    rows: RowCount
    """Rows looked at."""
    message: str
    """A sentence for people, without its full stop."""
    columns_option: dict[str, str | None] | None = None
    """The option ``columns`` of a job that mends it, with what this job's own says; None: no mapping mends it."""
    refused: bool = False
    """The dataset's checks refuse such rows: none of them would be stored wrongly."""
