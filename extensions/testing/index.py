"""One index in memory: its documents, and what becomes of a bulk item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_CONFLICT = "version_conflict_engine_exception"


@dataclass(frozen=True, slots=True)
class Kept:
    """A document."""

    source: dict[str, Any]
    number: int
    """Sequence number: the higher, the later it was written."""
    version: int = 1
    """How often it has been written since it was made."""


@dataclass(slots=True)
class MemoryIndex:
    """The documents of an index."""

    fields: frozenset[str] | None
    """The only fields its documents may have; None: any."""
    documents: dict[str, Kept] = field(default_factory=dict)
    seen: dict[str, Kept] = field(default_factory=dict)
    """What a search sees: the documents at the last refresh."""
    written: int = 0

    def done(self, action: str, head: Mapping[str, Any], document: Any) -> dict[str, Any]:
        """Carry out one bulk item, and answer it; `head` is what its line says."""
        key = head["_id"]
        kept = self.documents.get(key)
        if kept is None:
            if action == "update":
                return refused(404, "document_missing_exception", f"[{key}]: document missing")
            if "if_seq_no" in head:
                return refused(409, _CONFLICT, f"[{key}]: version conflict, there is no document")
            return {"status": 404} if action == "delete" else self._write(key, document, None)
        if action == "create":
            reason = f"[{key}]: version conflict, document already exists (current version [1])"
            return refused(409, _CONFLICT, reason)
        if head.get("if_seq_no", kept.number) != kept.number:
            return refused(409, _CONFLICT, f"[{key}]: version conflict, it has been written since")
        if action == "delete":
            self.written += 1
            del self.documents[key]
            return {"status": 200}
        source = _merged(kept.source, document["doc"]) if action == "update" else document
        if action == "update" and source == kept.source:
            return {"status": 200}  # it counts as no write
        return self._write(key, source, kept)

    def _write(self, key: str, source: dict[str, Any], before: Kept | None) -> dict[str, Any]:
        strange = set(source) - self.fields if self.fields is not None else set()
        if strange:
            reason = f"mapping set to strict, dynamic introduction of [{min(strange)}] within [_doc] is not allowed"
            return refused(400, "strict_dynamic_mapping_exception", reason)
        self.written += 1
        self.documents[key] = Kept(source, self.written, before.version + 1 if before is not None else 1)
        return {"status": 201 if before is None else 200}


def refused(status: int, type: str, reason: str) -> dict[str, Any]:  # noqa: A002 - as Elasticsearch has it
    """The answer to an item that is not carried out."""
    return {"status": status, "error": {"type": type, "reason": reason}}


def _merged(old: Any, new: Any) -> Any:
    """A document after a partial update: objects are merged, all else is replaced."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    return {**old, **{name: _merged(old.get(name), value) for name, value in new.items()}}
