"""Files that lie on the server already: those in the import folders may be named by a job."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from msgspec.structs import replace

from api.errors import ApiError, invalid
from csvfile.header import HEAD_BYTES
from runtime.files.file_digest import Digest, read_through
from runtime.files.identity import identity_of
from schemas.job import Format, Source

_CHUNK_BYTES = 128 * 1024
"""Counting lines holds Python's lock: with larger pieces the event loop would stand still for too long."""
_TICK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Seen:
    """What the beginning of a file says of it, as its job is to record it."""

    columns: dict[str, str | None] | None = None
    format: Format | None = None


Look = Callable[[bytes, bool], Seen]
"""Called with a file's first bytes, and whether these are all of it. Raises ApiError to refuse."""


def folders_for(roots: tuple[Path, ...], organisation: str | None) -> tuple[Path, ...]:
    """The folders whose files a caller may name who acts for this organisation: those that have its name, in each
    import folder; for one who acts for all organisations (None) the import folders."""
    return roots if organisation is None else tuple(root / organisation for root in roots)


def allowed_path(name: str, roots: tuple[Path, ...]) -> Path:
    """The file that `name` means, all links followed.

    Raises:
        ApiError: 403, it is in none of these folders; 400, there is no such file.
    """
    if not roots:
        raise ApiError(
            403,
            "jobs can't name files of this server: it has no import folders (SLUICE_IMPORT_FOLDERS); "
            "send the file along as multipart/form-data",
        )
    try:
        path = Path(name).resolve()
    except (OSError, ValueError) as error:
        raise invalid(f"file {name[:200]!r} can't be used: {error}") from error
    if not Path(name).is_absolute():
        raise invalid(f"file {name[:200]!r} is not an absolute path; name a file in one of {_listed(roots)}")
    # Said before anything is said about the file, so that paths outside tell a stranger nothing.
    if not any(path.is_relative_to(root.resolve()) for root in roots):
        raise ApiError(403, f"file {name[:200]!r} is outside the import folders; put it in one of {_listed(roots)}")
    try:
        there = path.is_file()
    except OSError:  # a name longer than a file system takes, say
        there = False
    if not there:
        raise invalid(f"there is no file {name[:200]!r} on the server")
    return path


def digest_of(path: Path, look: Look, stop: threading.Event) -> tuple[Digest, Source]:
    """Reads the whole file, unless `look` refuses its beginning; blocks, until its end or soon after `stop` is set.

    Raises:
        ApiError: 400, it can't be read, or is no file any more; 409, it changes meanwhile; and whatever `look` raises.
    """
    digest = Digest()
    seen: Seen | None = None
    with unchanged(path) as (file, status):
        for _ in read_through(file.fileno(), status.st_size, _CHUNK_BYTES, digest.update):
            if seen is None and len(digest.head) >= HEAD_BYTES:
                seen = look(digest.head, status.st_size <= HEAD_BYTES)
            if stop.is_set():
                break
        if seen is None:
            seen = look(digest.head, True)
        if digest.bytes != status.st_size:
            raise _changed(path)
    source = digest.source(path.name, str(path), identity_of(status))
    return digest, replace(source, columns=seen.columns, format=seen.format)


def size_of(path: Path) -> int:
    """A file's bytes. Raises ApiError 400 if it can't be looked at."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise invalid(f"file {str(path)!r} can't be read: {error.strerror}") from error


@contextmanager
def unchanged(path: Path) -> Iterator[tuple[IO[bytes], os.stat_result]]:
    """The open file and its status, for as long as it is to stay as it is.

    Raises:
        ApiError: 400, it can't be read, or is no file any more; 409, it has changed.
    """
    try:
        # A pipe that has taken the file's place would block for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as file:
            before = _settled(file)
            if not stat.S_ISREG(before.st_mode):
                raise invalid(f"{str(path)!r} is not a file")
            yield file, before
            after = os.fstat(file.fileno())
    except OSError as error:
        raise invalid(f"file {str(path)!r} can't be read: {error.strerror}") from error
    if identity_of(after) != identity_of(before):
        raise _changed(path)


def _changed(path: Path) -> ApiError:
    return ApiError(409, f"file {str(path)!r} has changed while it was read; wait until it is complete, and try again")


def _settled(file: IO[bytes]) -> os.stat_result:
    """The file's status, once a further change would show in it: file systems tell times in ticks of milliseconds."""
    status = os.fstat(file.fileno())
    if 0 <= time.time_ns() - status.st_ctime_ns < _TICK_SECONDS * 1e9:
        time.sleep(_TICK_SECONDS)
        status = os.fstat(file.fileno())
    return status


def _listed(roots: tuple[Path, ...]) -> str:
    return ", ".join(str(root) for root in roots)
