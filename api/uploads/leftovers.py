"""Takes away what uploads left whose process died: parts of files that nobody writes any more."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Final

from api.uploads.spool import holds, is_part

log = logging.getLogger(__name__)

_LEAST_AGE_SECONDS: Final = 600.0
"""A part that has just been made may not be locked yet."""
_PAUSE_SECONDS: Final = 3600.0


async def tidy(root: Path) -> None:
    """Remove leftovers now and then, until cancelled. Several APIs may do so in one folder."""
    while True:
        try:
            removed = await asyncio.to_thread(remove_leftovers, root)
            if removed:
                log.info("removed %d parts of uploads that broke off with their API", removed)
        except OSError as error:
            log.warning("can't look for parts of uploads that broke off: %s", error)
        await asyncio.sleep(_PAUSE_SECONDS)


def remove_leftovers(root: Path, least_age_seconds: float = _LEAST_AGE_SECONDS) -> int:
    """How many parts were removed: whoever writes one holds a lock on it, of which the system frees a dead process.

    Raises:
        OSError: the folder can't be read.
    """
    removed = 0
    oldest = time.time() - least_age_seconds
    sources = root / "sources"
    if not sources.is_dir():
        return 0
    with os.scandir(sources) as folders:
        for folder in folders:
            if not folder.is_dir(follow_symlinks=False):
                continue
            try:
                parts = [Path(entry.path) for entry in os.scandir(folder.path) if is_part(entry.name)]
                old = [part for part in parts if part.lstat().st_mtime < oldest]
                removed += sum(_removed(part) for part in old)
                if old:
                    Path(folder.path).rmdir()
            except OSError:
                continue  # another file is in it, or another API was here first
    return removed


def _removed(part: Path) -> bool:
    descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if not holds(descriptor):
            return False
        part.unlink()
        return True
    finally:
        os.close(descriptor)
