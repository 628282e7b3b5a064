"""Removes abandoned parts: files of uploads whose process died before the upload was complete."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Final

from api.uploads.spool import is_part, try_lock
from runtime.files.storage_threads import in_storage_thread
from runtime.telemetry.log_events import as_event

log = logging.getLogger(__name__)

_LEAST_AGE_SECONDS: Final = 600.0
"""A younger part may not be locked yet."""
_PAUSE_SECONDS: Final = 3600.0


async def clean_up(root: Path) -> None:
    """Remove abandoned parts once an hour, until cancelled. Several API processes may do so in one folder."""
    while True:
        try:
            removed = await in_storage_thread(remove_abandoned_parts, root)
            if removed:
                log.info(
                    "removed %d parts of uploads that broke off with their API",
                    removed,
                    extra=as_event("uploads.cleaned", parts=removed),
                )
        except OSError as error:
            log.warning("can't look for parts of uploads that broke off: %s", error, extra=as_event("uploads.cleaned"))
        await asyncio.sleep(_PAUSE_SECONDS)


def remove_abandoned_parts(root: Path, least_age_seconds: float = _LEAST_AGE_SECONDS) -> int:
    """Remove the parts that no process has locked; returns how many. The kernel releases the locks of a dead process.

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
                continue  # the folder has another file, or another API process has removed it
    return removed


def _removed(part: Path) -> bool:
    descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if not try_lock(descriptor):
            return False
        part.unlink()
        return True
    finally:
        os.close(descriptor)
