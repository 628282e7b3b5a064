"""Whether a process has the storage folder that the others have: a marker in it, which the API alone makes.

A folder without it is another one, or is not mounted: there is no file and no key there, and what is written there is
lost. So a reader or a worker waits at its start until it finds the marker, and each process looks for it before it
reads, writes or removes something of a job.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from runtime.telemetry.log_events import as_event

log = logging.getLogger(__name__)

MARKER: Final = "installation"
_TEXT: Final = (
    "The API of Sluice has made this file. All roles look for it: they need the same folder, and one without it is\n"
    "not mounted.\n"
)
_OLDER: Final = ("sources", "keys")
"""Folders that the API and the readers make as they need them, and workers never: versions up to 0.2 made no marker."""
_PAUSE_SECONDS: Final = 0.25


_PASSING: Final = frozenset(
    (
        errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNREFUSED, errno.ECONNRESET,
        errno.ECONNABORTED, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENODEV,
    )
)  # fmt: skip
"""What file systems of networks say while their servers are away, and after these have come back."""


class StorageAwayError(Exception):
    """The storage folder can't be used for now; the message says why. To be tried again: nothing is lost meanwhile."""


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


def require_shared(root: Path) -> None:
    """Raises StorageAwayError: the folder is not the installation's, or can't be looked into. Blocks."""
    with opened_root(root):
        pass


@contextlib.contextmanager
def opened_root(root: Path) -> Iterator[int]:
    """A descriptor of the folder. What is done by it is done in the installation's storage, whatever is mounted at, or
    taken from, that path meanwhile. Blocks.

    Raises:
        StorageAwayError: the folder is not the installation's, or can't be looked into.
    """
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _trouble(root, "opened", error) from error
    try:
        if not any(_has(descriptor, name, root) for name in (MARKER, *_OLDER)):
            raise StorageAwayError(unmounted(root))
        yield descriptor
    finally:
        os.close(descriptor)


def unmounted(root: Path) -> str:
    """That the folder is not the installation's, in words for an operator."""
    return (
        f"the storage folder {root} has no file {MARKER!r}: it is not mounted, or is not the folder of the API; "
        "mount it (SLUICE_STORAGE), and what waits for it goes on"
    )


def passes_by_itself(error: OSError) -> bool:
    """Whether the file system that a file lies on is away, so that waiting helps."""
    return error.errno in _PASSING


def _has(descriptor: int, name: str, root: Path) -> bool:
    try:
        os.stat(name, dir_fd=descriptor)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _trouble(root, "read", error) from error
    return True


def _trouble(root: Path, doing: str, error: OSError) -> StorageAwayError:
    return StorageAwayError(
        f"the storage folder {root} can't be {doing}: {error.strerror or error}; see SLUICE_STORAGE"
    )


def wait_for_shared_folder(
    root: Path, stopping: Callable[[], bool], pause: Callable[[float], None] = time.sleep
) -> None:
    """Return once the folder is the shared one, or when the process is to stop. Blocks."""
    said = False
    while not (is_shared(root) or stopping()):
        if not said:
            log.warning(
                "waiting for the storage folder: %s has no file %r, which the API makes at its first start. If an API "
                "runs, this process has another folder than the API, or it is not mounted: let all roles have the same "
                "one (SLUICE_STORAGE)",
                root,
                MARKER,
                extra=as_event("storage.waiting"),
            )
            said = True
        pause(_PAUSE_SECONDS)
