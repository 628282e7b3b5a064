"""Write modes: what an upload does with documents that its rows' keys name."""

from __future__ import annotations

from typing import Final, Literal, get_args

Mode = Literal["create", "upsert", "replace", "update", "delete"]
"""create: a key that exists is a row error. upsert: the row's columns replace those of the document, others stay; a new
key is a new document. replace: the document becomes the row. update: as upsert, but a key that is missing is a row
error. delete: the document goes; a key that is missing is a row error."""

MODES: Final[tuple[Mode, ...]] = get_args(Mode)

Empty = Literal["keep", "clear"]
"""What an empty cell does to a value of a document that exists: nothing, or it takes the value out."""

KeyScope = Literal["job", "organisation"]
"""How far a key reaches: it is there once in a job, or once in an organisation."""

MERGING: Final[frozenset[Mode]] = frozenset({"upsert", "update"})
"""Modes in which a document keeps what the row does not say."""

RESTORING: Final[frozenset[Mode]] = frozenset({"upsert", "replace", "update", "delete"})
"""Modes that write over documents, or take them out: what was there before is kept for the undo."""


def needs_key_only(mode: Mode | None) -> bool:
    """Whether a file may leave out all fields but those of the key."""
    return mode in MERGING or mode == "delete"
