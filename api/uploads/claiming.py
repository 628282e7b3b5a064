"""Makes the marker of the storage folder (`runtime/files/shared_folder.py`), once for an installation.

An API that starts while the storage is not mounted sees an empty folder, as in a new installation. If the API
made the marker there, readers would make new keys and seal rows with them, and no worker could open these rows once the
storage is back. The topic of jobs tells the two apart: an installation that has had a job is not new. Commands do not
count: services may send some before any process of Sluice has begun.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from api.errors import KafkaUnavailableError
from runtime.files.shared_folder import MARKER, is_shared, mark
from runtime.files.storage_threads import in_storage_thread
from runtime.telemetry.log_events import as_event

log = logging.getLogger(__name__)

_MADE_BY_WORKERS: Final = ("results", "parts")
"""Folders that are no sign of the API's storage for others, but show here that this one is not an empty mount point: of
an installation that has only made exports with a version up to 0.2."""
_PAUSE_SECONDS: Final = 1.0
_SOON_SECONDS: Final = 0.1
"""The pause before Kafka is asked again that has not answered: other roles wait for the marker."""


async def claim_storage(
    root: Path, end_of_jobs: Callable[[], Awaitable[int]], pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Return once the folder is marked. `end_of_jobs`: the offset of the next state of a job; raises
    KafkaUnavailableError.
    """
    told: str | None = None
    while True:
        problem: str | None = None
        seconds = _PAUSE_SECONDS
        try:
            if await in_storage_thread(_is_used, root) or not await end_of_jobs():
                await in_storage_thread(mark, root)
                return
            problem = (
                f"the storage folder {root} is empty, though this installation has had jobs: it is not mounted, or "
                f"is another one (SLUICE_STORAGE). No file is taken in, and readers and workers wait. Mount it. If all "
                f"that was in it is lost for good, make an empty file {MARKER!r} in it: jobs that need their files or "
                f"keys fail then"
            )
        except KafkaUnavailableError:
            seconds = _SOON_SECONDS
        except OSError as error:
            problem = f"the storage folder {root} can't be written: {error.strerror}; see SLUICE_STORAGE"
        if problem not in (None, told):
            told = problem
            log.error("%s", problem, extra=as_event("storage.waiting"))
        await pause(seconds)


def _is_used(root: Path) -> bool:
    return is_shared(root) or any((root / name).exists() for name in _MADE_BY_WORKERS)
