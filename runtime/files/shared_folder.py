"""Whether a process has the storage folder that the others have: a marker in it, which the API alone makes.

A reader or a worker with a folder of its own would find no file and no key there, and fail each job for it; a purge
would remove nothing. So it waits at its start until it finds the marker, and says so.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runtime.telemetry.log_events import as_event

log = logging.getLogger(__name__)

MARKER: Final = "installation"
_TEXT: Final = "The API of Sluice has made this file. Readers and workers look for it: they need the same folder.\n"
_OLDER: Final = ("sources", "keys")
"""Folders that the API and the readers make as they need them, and workers never: versions up to 0.2 made no marker."""
_PAUSE_SECONDS: Final = 0.25


def mark(root: Path) -> None:
    """Make the marker, for the API. Raises OSError: the folder can't be written."""
    root.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), (root / MARKER).open("x", encoding="utf-8") as file:
        file.write(_TEXT)


def is_shared(root: Path) -> bool:
    """Whether the API, or an API or a reader of an older version, has been at this folder."""
    with contextlib.suppress(OSError):  # a folder that can't be looked into is not seen
        return any((root / name).exists() for name in (MARKER, *_OLDER))
    return False


def wait_for_shared_folder(
    root: Path, stopping: Callable[[], bool], pause: Callable[[float], None] = time.sleep
) -> None:
    """Return once the folder is the shared one, or when the process is to stop. Blocks."""
    said = False
    while not (is_shared(root) or stopping()):
        if not said:
            log.warning(
                "waiting for the storage folder: %s has no file %r, which the API makes at its start. If an API runs, "
                "this process has another folder than the API: let all roles have the same one (SLUICE_STORAGE)",
                root,
                MARKER,
                extra=as_event("storage.waiting"),
            )
            said = True
        pause(_PAUSE_SECONDS)
