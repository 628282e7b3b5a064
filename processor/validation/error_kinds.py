"""Reasons of row errors whose kind metrics count, and the kind of a row error: one of a few words. Pure.

Row errors go from process to process with their reason alone, which may be any text: operations of your own write
their own. So a kind is told by the words of the reason, and the reasons that have one of their own are made here.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from schemas.messages.progress import RowError

Kind = Literal["value", "missing", "shape", "duplicate", "refused", "unreadable"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_REQUIRED: Final = "is required, but "
_SHAPES: Final = ("the row has too few values", "the row has too many values")
_EXISTS: Final = " exists already"
_REPEATED: Final = " of the file already"
_REFUSED: Final = "Elasticsearch refused the row"
_WORDS: Final[dict[str, Kind]] = {
    **dict.fromkeys(_SHAPES, "shape"),
    _REFUSED: "refused",
    _EXISTS: "duplicate",
    _REPEATED: "duplicate",
    _REQUIRED: "missing",
}
_MOST_OF_ANSWER: Final = 500
"""Characters of Elasticsearch's answer in a reason, at most."""


def kind_of(error: RowError) -> Kind:
    """`value`: a cell that does not fit its field; `unreadable`: the row could not be read from its file."""
    for words, kind in _WORDS.items():
        if words in error.reason:
            return kind
    return "value" if error.column is not None else "unreadable"


def missing(text: str = "") -> str:
    """The reason of a field without a value, behind its name. `text`: what stands there for no value."""
    return f"{_REQUIRED}{f'{text!r} stands for no value' if text else 'empty'}"


def wrong_count(count: int, wanted: int) -> str:
    """The reason of a row with so many values."""
    return f"{_SHAPES[count > wanted]}: {count} instead of {wanted}"


def exists(words: str, job_id: str | None) -> str:
    """The reason of a row whose document is there. `words`: its key; `job_id`: who has made the document, if known."""
    return f"{words}{_EXISTS}{f' (created by job {job_id})' if job_id else ''}"


def repeated(words: str, row: object) -> str:
    """The reason of a row whose key another row of the file has."""
    return f"{words} is in row {row}{_REPEATED}"


def refused(answer: str) -> str:
    """The reason of a row that passed its checks, but that Elasticsearch would not take."""
    return f"{_REFUSED}: {answer[:_MOST_OF_ANSWER]}"
