"""The kind of a row error, for metrics: one of a few words, where the reason itself may be any text. Pure."""

from __future__ import annotations

from typing import Final, Literal, get_args

from schemas.messages.progress import RowError

Kind = Literal["value", "missing", "shape", "duplicate", "refused", "unreadable"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_SIGNS: Final[tuple[tuple[str, Kind], ...]] = (
    ("the row has too few values", "shape"),
    ("the row has too many values", "shape"),
    ("Elasticsearch refused the row", "refused"),
    (" exists already", "duplicate"),
    (" of the file already", "duplicate"),
    (" is required, but ", "missing"),
)


def kind_of(error: RowError) -> Kind:
    """`value`: a cell that does not fit its field; `unreadable`: the row could not be read from its file."""
    for sign, kind in _SIGNS:
        if sign in error.reason:
            return kind
    return "value" if error.column is not None else "unreadable"
