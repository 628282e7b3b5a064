"""The file of a job that is there: whether another job can read it."""

from __future__ import annotations

import threading
from enum import Enum
from pathlib import Path

from api.errors import unavailable
from api.uploads.import_folders import Seen, digest_of
from runtime.files.identity import Match, match
from runtime.files.shared_folder import StorageAwayError, passes_by_itself, require_shared
from schemas.job import Source

MOST_HASHED_BYTES = 64 * 1024 * 1024
"""Largest file that is hashed here, where its identity has changed since its job was made. A larger one is checked by
the reader of the new job, which fails the job if the file is another one."""


class Standing(Enum):
    """The state of a job's file in storage."""

    THERE = "there"
    GONE = "gone"
    CHANGED = "changed"


def standing(source: Source, root: Path) -> Standing:
    """What has become of a file below the storage root `root`, or in an import folder; blocks.

    Raises:
        ApiError: 503, the storage is away, so it can't be told.
    """
    path = root / (source.path or "")  # an absolute source.path replaces the root
    try:
        status = path.stat()
        found = match(source, status)
        if found is Match.UNSURE and status.st_size <= MOST_HASHED_BYTES:
            _, now = digest_of(path, lambda _head, _whole: Seen(), threading.Event())
            found = Match.SAME if now.sha256 == source.sha256 else Match.OTHER
    except OSError as error:
        if passes_by_itself(error):
            raise unavailable(f"the file {source.path} can't be read: {error.strerror}; try again") from error
        if not Path(source.path or "").is_absolute():
            _require(root)
        return Standing.GONE
    return Standing.CHANGED if found is Match.OTHER else Standing.THERE


def _require(root: Path) -> None:
    try:
        require_shared(root)
    except StorageAwayError as error:
        raise unavailable(f"the file can't be read: {error}") from error
