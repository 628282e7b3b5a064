"""What a row does to the document that its key names, in each mode. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import msgspec

from processor.operations.keyed import words_of
from processor.operations.modes.found import Found, Mark
from processor.validation import error_kinds
from schemas.descriptors.modes import MERGING, Mode

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode

Kind = Literal["create", "update", "delete", "unchanged", "done", "refused"]


class Row(msgspec.Struct, frozen=True, gc=False):
    """One good row."""

    place: int
    """Index of its block in the batch."""
    number: int
    document: str
    """The id of the document that its key names."""
    names: tuple[str, ...]
    """The fields of the key."""
    key: tuple[Any, ...]
    """Their values."""
    values: dict[str, Any]
    """Field -> value of the fields that the row has."""

    @property
    def words(self) -> str:
        """The key, as an error names it."""
        return words_of(self.names, self.key)


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What is to be done about a row."""

    kind: Kind
    line: bytes | None = None
    """The document to write; None: none, or it is to go."""
    reason: str = ""
    """Why the row is refused."""
    taken: bool = False
    """The row is refused since its key exists."""
    missing: bool = False
    """The row is refused since its key names no document."""
    other: int | None = None
    """The row of the same job that has written the document of this key before; so this row is refused."""


UNCHANGED = Decision("unchanged")
_DONE = Decision("done")
_DELETE = Decision("delete")


@dataclass(frozen=True, slots=True)
class Rules:
    """How one job's rows are written."""

    mode: Mode
    job_id: str
    organisation: str
    clears: bool = False
    """An empty cell takes the value out."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Field -> the value that a new document gets if its row has none."""
    required: tuple[str, ...] = ()
    """Fields that each document has to have a value of."""

    def decide(self, row: Row, found: Found | None, deleted: bool = False) -> Decision:
        """What `row` does, where `found` is under its key; `deleted`: the job has an image of this row, and in it a
        document that it takes out.
        """
        if found is None:
            return self._without(row, deleted)
        before = _decode(found.source)
        mark = _mark(before.pop("sluice", None))
        if mark.job_id == self.job_id:
            # The job's own write, whatever others have made of the document since: a repeat does not write it again.
            if mark.row_number == row.number:
                return _DONE
            return twice(row, mark.row_number)
        match self.mode:
            case "create":
                return Decision("refused", reason=error_kinds.exists(row.words, mark.job_id), taken=True)
            case "delete":
                return _DELETE
            case "replace":
                values = row.values
                if before == values or not (differs(before, values) or _has_more(before, values)):
                    return UNCHANGED
                return Decision("update", self._line(row, values))
            case _:
                values = row.values
                if not self.clears and None in values.values():
                    values = {name: value for name, value in values.items() if value is not None}
                merged = before | values
                if merged == before or not differs(before, values):
                    return UNCHANGED
                return Decision("update", self._line(row, merged))

    def _without(self, row: Row, deleted: bool) -> Decision:
        if self.mode == "delete" and deleted:
            return _DONE
        if self.mode in ("update", "delete"):
            return Decision("refused", reason=f"{row.words} does not exist", missing=True)
        values = dict(row.values)
        if self.mode in MERGING:
            values = {**self.defaults, **values}
            lacking = [name for name in self.required if values.get(name) is None]
            if lacking:
                needs = (
                    f"so it would be new, and {' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} required"
                )
                return Decision("refused", reason=f"{row.words} does not exist, {needs}", missing=True)
        return Decision("create", self._line(row, values))

    def _line(self, row: Row, values: Mapping[str, Any]) -> bytes:
        head, tail = _mark_around(self.job_id, self.organisation)
        return b"%b%b%d%b" % (_encode(values)[:-1], head, row.number, tail)


@lru_cache(maxsize=64)
def _mark_around(job_id: str, organisation: str) -> tuple[bytes, bytes]:
    """The mark of a job's documents, before and behind the row's number."""
    return b',"sluice":{"job_id":%b,"row_number":' % _encode(job_id), b',"organisation":%b}}' % _encode(organisation)


def differs(before: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether a document has other values than these."""
    return any(before.get(name) != value for name, value in values.items())


def _has_more(before: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether a document has a value of another field than these."""
    return any(value is not None for name, value in before.items() if name not in values)


def _mark(found: Any) -> Mark:
    """The mark in a document; an empty one, where another program has written it in a form of its own."""
    if not isinstance(found, dict):
        return Mark()
    job_id, row = found.get("job_id"), found.get("row_number")
    return Mark(job_id, row) if isinstance(job_id, str) and isinstance(row, int) else Mark()


def twice(row: Row, other: int) -> Decision:
    """The decision on a row whose key another row of the file has."""
    return Decision("refused", reason=error_kinds.repeated(row.words, other), taken=True, other=other)


def changed_fields(before: bytes | None, after: bytes | None) -> dict[str, tuple[Any, Any]]:
    """Field -> its value before and after, of those in which two documents differ; None: there is no document."""
    old, new = (_decode(raw) if raw is not None else {} for raw in (before, after))
    names = [name for name in {**old, **new} if name != "sluice"]
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}
