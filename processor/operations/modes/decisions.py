"""What a row does to the document that its key names, in each mode. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from processor.operations.modes.found import Found, Mark
from schemas.descriptors.modes import MERGING, Mode

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode

Kind = Literal["create", "update", "delete", "unchanged", "done", "refused"]


@dataclass(frozen=True, slots=True)
class Row:
    """One good row."""

    place: int
    """Index of its block in the batch."""
    number: int
    document: str
    """The id of the document that its key names."""
    words: str
    """The key, as an error names it."""
    values: dict[str, Any]
    """Field -> value of the fields that the row has."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a row."""

    kind: Kind
    line: bytes | None = None
    """The document to write; None: none, or it is to go."""
    reason: str = ""
    """Why the row is refused."""
    taken: bool = False
    """It is refused since its key exists."""
    missing: bool = False
    """It is refused since its key names no document."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How one job's rows are written."""

    mode: Mode
    job_id: str
    organisation: str
    clears: bool = False
    """An empty cell takes the value out."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Of fields that a new document has if its row does not say them."""
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
            # Its own write, whatever others have made of it since: a repeat does not write it again.
            if mark.row_number == row.number:
                return Decision("done")
            return twice(row, mark.row_number)
        match self.mode:
            case "create":
                by = f" (created by job {mark.job_id})" if mark.job_id else ""
                return Decision("refused", reason=f"{row.words} exists already{by}", taken=True)
            case "delete":
                return Decision("delete")
            case "replace":
                values = row.values
                changed = differs(before, values) or any(
                    value is not None for name, value in before.items() if name not in values
                )
                return Decision("update", self._line(row, values)) if changed else Decision("unchanged")
            case _:
                values = row.values if self.clears else {k: v for k, v in row.values.items() if v is not None}
                if not differs(before, values):
                    return Decision("unchanged")
                return Decision("update", self._line(row, before | values))

    def _without(self, row: Row, deleted: bool) -> Decision:
        if self.mode == "delete" and deleted:
            return Decision("done")
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
        mark = b',"sluice":{"job_id":%b,"row_number":%d,"organisation":%b}}'
        return _encode(values)[:-1] + mark % (_encode(self.job_id), row.number, _encode(self.organisation))


def differs(before: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether a document has other values than these."""
    return any(before.get(name) != value for name, value in values.items())


def _mark(found: Any) -> Mark:
    """The mark in a document; an empty one, where another program has written it in a form of its own."""
    if not isinstance(found, dict):
        return Mark()
    job_id, row = found.get("job_id"), found.get("row_number")
    return Mark(job_id, row) if isinstance(job_id, str) and isinstance(row, int) else Mark()


def twice(row: Row, other: int) -> Decision:
    """The decision on a row whose key another row of the file has."""
    return Decision("refused", reason=f"{row.words} is in row {other} of the file already", taken=True)


def changed_fields(before: bytes | None, after: bytes | None) -> dict[str, tuple[Any, Any]]:
    """Field -> its value before and after, of those in which two documents differ; None: there is no document."""
    old, new = (_decode(raw) if raw is not None else {} for raw in (before, after))
    names = [name for name in {**old, **new} if name != "sluice"]
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}
