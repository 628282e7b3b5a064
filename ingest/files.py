"""Opens the file a plan names, wherever it may lie, and hands out its bytes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ingest.errors import SourceError
from schemas.job import Source

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Roots:
    """Folders a job's file may lie in; absolute."""

    storage: Path
    imports: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file as it was when it was opened; it must stay so until it has been read."""

    file: BinaryIO
    size: int
    modified_ns: int

    def head(self, size: int) -> bytes:
        """Its first bytes."""
        self.file.seek(0)
        return self.file.read(size)

    def chunks(self, start: int) -> Iterator[bytes]:
        """Its bytes from `start` on.

        Raises:
            SourceError: it has changed since it was opened. What was read from it before counts for nothing.
        """
        self.file.seek(start)
        left = self.size - start
        while left > 0:
            try:
                chunk = self.file.read(min(CHUNK_BYTES, left))
            except OSError as error:
                raise SourceError(f"the file can't be read: {error.strerror}") from error
            if not chunk:
                break
            left -= len(chunk)
            if left == 0:
                self.check_unchanged()
            yield chunk
        self.check_unchanged()

    def check_unchanged(self) -> None:
        """Raises SourceError if the file is not the one that was opened any more."""
        now = os.fstat(self.file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self.size, self.modified_ns):
            raise SourceError("the file has changed while it was read; upload it again")


def open_source(source: Source, roots: Roots) -> OpenFile:
    """Open a job's file.

    Raises:
        SourceError: it is not there, lies outside the folders it may lie in, or is not the file that was sent.
    """
    path = locate(source.path, roots)
    try:
        # neither follow a link put there since `locate` looked, nor wait for the writer of a named pipe
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise SourceError(f"the file {source.path} can't be opened: {error.strerror}") from error
    status = os.fstat(descriptor)
    problem = None
    if not stat.S_ISREG(status.st_mode):
        problem = f"{source.path} is not a file"
    elif source.bytes is not None and status.st_size != source.bytes:
        problem = f"the file has {status.st_size} bytes, {source.bytes} were expected: it has changed; upload it again"
    if problem:
        os.close(descriptor)
        raise SourceError(problem)
    return OpenFile(os.fdopen(descriptor, "rb", buffering=0), status.st_size, status.st_mtime_ns)


def locate(name: str | None, roots: Roots) -> Path:
    """Where a job's file lies, links resolved: below the storage root, or, named absolutely, in an import folder.

    Raises:
        SourceError: it is neither, or not there.
    """
    if not name or "\0" in name:
        raise SourceError("the job names no file")
    given = Path(name)
    folders = roots.imports if given.is_absolute() else (roots.storage,)
    try:
        path = (roots.storage / given).resolve(strict=True)
    except FileNotFoundError as error:
        raise SourceError(f"the file {name} is not there") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        raise SourceError(f"the file {name} can't be opened: {error}") from error
    if not any(path.is_relative_to(folder.resolve()) for folder in folders):
        raise SourceError(
            f"the file {name} lies outside the folders that jobs may read: "
            f"give a path below the storage root, or one in an import folder (SLUICE_IMPORT_FOLDERS)"
        )
    return path
